//! Locks that ignore poisoning.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, also after a thread panicked while it held the lock. The data that these locks
/// guard are valid at every point where a thread could panic.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_usable_after_a_panic() {
        let number = Mutex::new(1);
        std::thread::scope(|scope| {
            let panics = scope.spawn(|| {
                let mut number = lock(&number);
                *number = 2;
                panic!("while locked");
            });
            assert!(panics.join().is_err());
        });
        assert!(number.is_poisoned());
        assert_eq!(*lock(&number), 2);
    }
}
