//! waPC: imports and exports of a core module.
use crate::error::{Error, Result};
use crate::Actor;

#[link(wasm_import_module = "wapc")]
extern "C" {
    fn __guest_request(operation: *mut u8, payload: *mut u8);
    fn __guest_response(at: *const u8, size: usize);
    fn __guest_error(at: *const u8, size: usize);
    fn __host_call(
        binding: *const u8,
        binding_size: usize,
        namespace: *const u8,
        namespace_size: usize,
        operation: *const u8,
        operation_size: usize,
        payload: *const u8,
        payload_size: usize,
    ) -> i32;
    fn __host_response_len() -> usize;
    fn __host_response(to: *mut u8);
    fn __host_error_len() -> usize;
    fn __host_error(to: *mut u8);
    fn __console_log(at: *const u8, size: usize);
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
extern "C" {
    fn clock_time_get(clock: u32, precision_ns: u64, time_ns: *mut u64) -> u32;
}

/// Zeroed, because what the host writes is not seen by the compiler.
fn filled(size: usize, fill: unsafe extern "C" fn(*mut u8)) -> Vec<u8> {
    let mut bytes = vec![0; size];
    // The host writes as many bytes as it said before, and nobody else runs meanwhile.
    unsafe { fill(bytes.as_mut_ptr()) };
    bytes
}

pub fn host_call(binding: &str, namespace: &str, operation: &str, payload: &[u8]) -> Result<Vec<u8>> {
    // The host only reads, and only what these slices hold.
    let ok = unsafe {
        __host_call(
            binding.as_ptr(),
            binding.len(),
            namespace.as_ptr(),
            namespace.len(),
            operation.as_ptr(),
            operation.len(),
            payload.as_ptr(),
            payload.len(),
        )
    };
    if ok == 1 {
        return Ok(filled(unsafe { __host_response_len() }, __host_response));
    }
    let error = filled(unsafe { __host_error_len() }, __host_error);
    Err(Error::from_host(&String::from_utf8_lossy(&error)))
}

/// Serves one call; what the function that `actor!` exports does. 1 when it went well.
#[doc(hidden)]
pub fn serve(actor: &Actor, operation_size: usize, payload_size: usize) -> i32 {
    let mut operation = vec![0; operation_size];
    let mut payload = vec![0; payload_size];
    // The sizes are those the host gave for these two.
    unsafe { __guest_request(operation.as_mut_ptr(), payload.as_mut_ptr()) };
    match actor.answer(&String::from_utf8_lossy(&operation), &payload) {
        Ok(response) => {
            unsafe { __guest_response(response.as_ptr(), response.len()) };
            1
        }
        Err(error) => {
            let text = error.to_string();
            unsafe { __guest_error(text.as_ptr(), text.len()) };
            0
        }
    }
}

pub fn console(text: &str) {
    unsafe { __console_log(text.as_ptr(), text.len()) }
}

pub fn clock_ns() -> Result<u64> {
    let mut time_ns = 0;
    match unsafe { clock_time_get(0, 1_000_000, &mut time_ns) } {
        0 => Ok(time_ns),
        _ => Err(Error::new("unavailable", "the host has no clock")),
    }
}

/// What the host calls, for `actor!`.
#[doc(hidden)]
#[macro_export]
macro_rules! nanolattice_export {
    () => {
        #[export_name = "__guest_call"]
        pub extern "C" fn nanolattice_guest_call(operation_size: usize, payload_size: usize) -> i32 {
            NANOLATTICE_ACTOR.with(|actor| $crate::call::serve(actor, operation_size, payload_size))
        }
    };
}
