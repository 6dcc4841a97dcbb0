//! The few questions for which the processor's wide registers are worth asking: where a string ends, what digits tell, what an address
//! says.
//!
//! Two kernels answer alike: [`Portable`], eight bytes at a time in ordinary registers, and on x86-64 [`Avx2`], which is taken when the
//! processor has it.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod portable;
#[cfg(test)]
mod tests;

#[cfg(target_arch = "x86_64")]
use avx2::Avx2;
use portable::Portable;

/// A piece of work that deserves a function of its own.
pub(super) trait Work<K> {
    /// What comes of it.
    type Output;

    /// Does it. Inlined always, as everything hot below it must be: only then the compiler may use the kernel's instructions in it.
    fn run(self, kernel: K) -> Self::Output;
}

/// Does some work on the best kernel that this processor has.
#[cfg(target_arch = "x86_64")]
pub(super) fn run<O, W: Work<Avx2, Output = O> + Work<Portable, Output = O>>(work: W) -> O {
    match Avx2::detect() {
        Some(kernel) => kernel.apart(work),
        None => Portable.apart(work),
    }
}

/// Does some work on the one kernel that there is.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn run<W: Work<Portable>>(work: W) -> W::Output {
    Portable.apart(work)
}

/// Answers about a window of the body. No window reaches past the padding, so none needs a length.
pub(super) trait Kernel: Copy {
    /// Does some work in a function of its own, in which the compiler may use what this kernel needs.
    fn apart<W: Work<Self>>(self, work: W) -> W::Output;

    /// Whether the window is the pattern, where the mask has bits.
    fn is(self, window: &[u8; 16], pattern: &[u8; 16], mask: &[u8; 16]) -> bool;

    /// How many bytes in front are plain text of a JSON string: ASCII, and no quote, backslash or control character. 32 at most.
    fn plain(self, window: &[u8; 32]) -> usize;

    /// How many digits stand in front, 16 at most, and the number they make.
    fn digits(self, window: &[u8; 16]) -> (usize, u64);

    /// The address in the first 17 bytes, if it is six pairs of hexadecimal digits with colons between them; 48 bits.
    fn mac(self, window: &[u8; 32]) -> Option<u64>;

    /// The address and the strength in the first 40 bytes, if they are `{"apMac":"..","rssi":-NN}` to the letter, two digits without a
    /// zero in front; 48 bits.
    fn reading(self, window: &[u8; 48]) -> Option<(u64, i8)>;
}
