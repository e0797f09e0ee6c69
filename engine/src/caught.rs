//! Code of the application runs where plans are driven. When it panics that is an error of what it was asked for, and of nothing else.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What the code answers, or what it said when it panicked.
pub(crate) fn caught<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|panic| said(panic.as_ref()))
}

/// What a panic said.
pub(crate) fn said(panic: &(dyn Any + Send)) -> String {
    let said = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned());
    said.unwrap_or_else(|| "without a message".into())
}
