//! The opt-out list of a process that serves: opened at the start, looked at again and again, and told in a gauge.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use store::optout::{OptOutError, OptOuts};

use crate::failure::Failure;
use crate::metrics::OPTOUT_ENTRIES;

/// The list, and what is wrong with its files now.
pub(super) struct Watched {
    pub(super) list: Arc<OptOuts>,
    trouble: Mutex<Option<String>>,
}

impl Watched {
    /// Reads the list. One that is of no use is refused: its people would be written.
    pub(super) fn open(data_dir: &Path) -> Result<Arc<Self>, Failure> {
        let list = OptOuts::open(data_dir).map_err(crate::optout::failure)?;
        let watched = Self { list: Arc::new(list), trouble: Mutex::default() };
        watched.tell();
        Ok(Arc::new(watched))
    }

    /// SIGHUP: reads the files again, changed or not, and says what is wrong although it was said before. Blocks on the disk.
    pub(super) fn reload(&self) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.took(self.list.reload().map(|()| true));
    }

    /// Looks at the files every ten seconds. It never ends; the caller aborts it.
    pub(super) async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let watched = Arc::clone(&self);
            // The files may be on a disk that hangs. An error says that the runtime is going away.
            let _ = tokio::task::spawn_blocking(move || watched.took(watched.list.look())).await;
        }
    }

    /// One line when the list is another, or when something else is wrong with it than before.
    fn took(&self, looked: Result<bool, OptOutError>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match looked {
            Ok(false) => {}
            Ok(true) => {
                *trouble = None;
                tracing::info!(entries = self.list.entries(), "the opt-out list is read again");
                self.tell();
            }
            Err(error) => {
                let error = error.to_string();
                if trouble.as_ref() != Some(&error) {
                    tracing::warn!(error, entries = self.list.entries(), "the opt-out list is of no use, the one that was read before stays");
                    *trouble = Some(error);
                }
            }
        }
    }

    fn tell(&self) {
        metrics::gauge!(OPTOUT_ENTRIES).set(self.list.entries() as f64);
    }
}

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
