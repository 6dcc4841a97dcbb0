//! Faults of file systems of the tests' own, which only root can mount: they are full, they go read-only, the power goes.
//!
//! Where that cannot be done these tests fail and say so; `FOOTFALL_WITHOUT_ROOT=1 make test` leaves all of them out by name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

mod database_full;
mod disk_full;
mod power_cut;
mod read_only;

/// A mounted file system. It is unmounted when this is dropped, also in a panic: make it after whatever holds the mount point, and
/// before whatever has files open on it.
struct Disk {
    point: PathBuf,
    /// A file with an ext4 in it, and how to mount it; none for a tmpfs.
    image: Option<(PathBuf, &'static str)>,
}

impl Disk {
    /// Memory that takes so many MiB.
    fn tmpfs(point: &Path, mib: u32) -> Self {
        make_point(point);
        run("mount", &["-t", "tmpfs", "-o", &format!("size={mib}m,mode=0700"), "tmpfs", text(point)]);
        Self { point: point.to_owned(), image: None }
    }

    /// An ext4 in a file.
    fn ext4(image: &Path, point: &Path, mib: u32, options: &'static str) -> Self {
        make_point(point);
        let file = fs::File::create(image).unwrap();
        file.set_len(u64::from(mib) << 20).unwrap();
        run("mkfs.ext4", &["-q", "-E", "nodiscard", text(image)]);
        let disk = Self { point: point.to_owned(), image: Some((image.to_owned(), options)) };
        disk.mount();
        disk
    }

    /// Mounts the ext4, which recovers it.
    fn mount(&self) {
        let (image, options) = self.image.as_ref().unwrap();
        run("mount", &["-o", options, text(image), text(&self.point)]);
    }

    fn unmount(&self) {
        run("umount", &[text(&self.point)]);
    }

    /// Cuts the power: nothing that was not synced reaches the image any more, and every later call on the file system fails.
    fn cut_power(&self) {
        static PROGRAM: OnceLock<String> = OnceLock::new();
        let program = PROGRAM.get_or_init(|| {
            let out = format!("{}/cut-power", env!("CARGO_TARGET_TMPDIR"));
            run("cc", &["-O1", "-Wall", "-Werror", "-o", &out, concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/needs_root/cut_power.c")]);
            out
        });
        run(program, &[text(&self.point)]);
    }

    /// The block device behind it.
    fn device(&self) -> String {
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let line = mounts.lines().find(|line| line.split(' ').nth(1) == Some(text(&self.point))).unwrap();
        line.split(' ').next().unwrap().to_owned()
    }

    /// Writes a file until nothing more goes on it, as somebody else on the machine would.
    fn fill(&self) -> PathBuf {
        let path = self.point.join("somebody-elses-file");
        let mut file = fs::File::create(&path).unwrap();
        for step in [1 << 20, 1 << 12, 1] {
            while std::io::Write::write(&mut file, &vec![b'x'; step]).is_ok() {}
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let quietly = |options: &[&str]| Command::new("umount").args(options).arg(&self.point).output().is_ok_and(|out| out.status.success());
        let is_mounted = fs::read_to_string("/proc/mounts").is_ok_and(|mounts| mounts.contains(text(&self.point)));
        if is_mounted && !quietly(&[]) && !quietly(&["-l"]) {
            eprintln!("{} is still mounted", self.point.display());
        }
    }
}

fn make_point(point: &Path) {
    fs::create_dir_all(point).unwrap();
    let user = fs::metadata("/proc/self").map(|me| std::os::unix::fs::MetadataExt::uid(&me)).unwrap();
    assert!(user == 0, "{MISSING}: this is not root");
}

fn run(program: &str, arguments: &[&str]) {
    let done = output(program, arguments);
    assert!(done.status.success(), "{MISSING}: {program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr));
}

fn output(program: &str, arguments: &[&str]) -> Output {
    // Where root's own programs are is not on everybody's path.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    Command::new(program).args(arguments).env("PATH", path).output().unwrap_or_else(|error| panic!("{MISSING}: {program}: {error}"))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

const MISSING: &str = "this test mounts file systems, which takes root with the right to mount, loop devices, mount, mkfs.ext4 and a C compiler \
     (FOOTFALL_WITHOUT_ROOT=1 make test leaves such tests out)";
