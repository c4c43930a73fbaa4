//! A component of the world nanolattice:actor, by the canonical ABI. `src/actor.world` is that world as the linker wants it:
//! the section `component-type` that `jco embed` makes of actors/sdk/wit/actor.wit.
use crate::error::{Error, Result};
use crate::Actor;
use std::alloc::{alloc, realloc, Layout};
use std::cell::RefCell;

#[link_section = "component-type:nanolattice"]
#[used]
static WORLD: [u8; include_bytes!("../actor.world").len()] = *include_bytes!("../actor.world");

#[link(wasm_import_module = "nanolattice:actor/host@0.1.0")]
extern "C" {
    #[link_name = "call"]
    fn call(
        link: *const u8,
        link_size: usize,
        target: *const u8,
        target_size: usize,
        operation: *const u8,
        operation_size: usize,
        payload: *const u8,
        payload_size: usize,
        result: *mut Outcome,
    );
    #[link_name = "console-log"]
    fn console_log(warning: i32, text: *const u8, text_size: usize);
}

/// `result<list<u8>, failure>` in memory: which of the two, then the list, or code and message.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Outcome {
    failed: u8,
    first: *mut u8,
    first_size: usize,
    second: *mut u8,
    second_size: usize,
}

impl Outcome {
    const NONE: Self =
        Self { failed: 0, first: std::ptr::null_mut(), first_size: 0, second: std::ptr::null_mut(), second_size: 0 };
}

/// Where the host puts what it gives: owned by whoever reads it.
///
/// # Safety
/// Only the host calls it, as the canonical ABI says.
#[export_name = "cabi_realloc"]
pub unsafe extern "C" fn cabi_realloc(old: *mut u8, old_size: usize, align: usize, size: usize) -> *mut u8 {
    let room = match (old_size, size) {
        (_, 0) => return align as *mut u8,
        (0, _) => alloc(Layout::from_size_align_unchecked(size, align)),
        _ => realloc(old, Layout::from_size_align_unchecked(old_size, align), size),
    };
    if room.is_null() {
        std::process::abort();
    }
    room
}

/// Takes bytes that the host has put there, by the function above.
unsafe fn taken(at: *mut u8, size: usize) -> Vec<u8> {
    if size == 0 {
        return Vec::new();
    }
    Vec::from_raw_parts(at, size, size)
}

pub fn host_call(link: &str, target: &str, operation: &str, payload: &[u8]) -> Result<Vec<u8>> {
    let mut outcome = Outcome::NONE;
    // The host only reads what these slices hold, and fills in `outcome`.
    unsafe {
        call(
            link.as_ptr(),
            link.len(),
            target.as_ptr(),
            target.len(),
            operation.as_ptr(),
            operation.len(),
            payload.as_ptr(),
            payload.len(),
            &mut outcome,
        );
        let first = taken(outcome.first, outcome.first_size);
        if outcome.failed == 0 {
            return Ok(first);
        }
        let message = taken(outcome.second, outcome.second_size);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Err(Error::new(text(&first), text(&message)))
    }
}

pub fn console(text: &str) {
    unsafe { console_log(1, text.as_ptr(), text.len()) }
}

pub fn clock_ns() -> Result<u64> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Ok(now.map_or(0, |since| since.as_nanos() as u64))
}

/// What the host reads after a call. It stays until the next one.
struct Answer {
    outcome: Outcome,
    first: Vec<u8>,
    second: Vec<u8>,
}

thread_local! {
    static ANSWER: RefCell<Box<Answer>> =
        RefCell::new(Box::new(Answer { outcome: Outcome::NONE, first: Vec::new(), second: Vec::new() }));
}

/// Serves one call; what the function that `actor!` exports does.
///
/// # Safety
/// Only the host calls it, with what it has put into memory.
#[doc(hidden)]
pub unsafe fn serve(
    actor: &Actor,
    operation: *mut u8,
    operation_size: usize,
    payload: *mut u8,
    payload_size: usize,
) -> *const Outcome {
    let operation = taken(operation, operation_size);
    let payload = taken(payload, payload_size);
    let answer = actor.answer(&String::from_utf8_lossy(&operation), &payload);
    ANSWER.with(|kept| {
        let mut kept = kept.borrow_mut();
        kept.outcome.failed = u8::from(answer.is_err());
        match answer {
            Ok(response) => kept.first = response,
            Err(error) => {
                kept.first = error.code.into_owned().into_bytes();
                kept.second = error.message.into_bytes();
            }
        }
        kept.outcome.first = kept.first.as_mut_ptr();
        kept.outcome.first_size = kept.first.len();
        kept.outcome.second = kept.second.as_mut_ptr();
        kept.outcome.second_size = kept.second.len();
        &kept.outcome as *const Outcome
    })
}

/// What the host calls, for `actor!`.
#[doc(hidden)]
#[macro_export]
macro_rules! nanolattice_export {
    () => {
        #[export_name = "nanolattice:actor/guest@0.1.0#handle"]
        pub unsafe extern "C" fn nanolattice_handle(
            operation: *mut u8,
            operation_size: usize,
            payload: *mut u8,
            payload_size: usize,
        ) -> *const $crate::call::Outcome {
            NANOLATTICE_ACTOR.with(|actor| $crate::call::serve(actor, operation, operation_size, payload, payload_size))
        }
    };
}
