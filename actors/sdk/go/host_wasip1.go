package nanolattice

import "unsafe"

//go:wasmimport wapc __guest_request
func guestRequest(operation, payload unsafe.Pointer)

//go:wasmimport wapc __guest_response
func guestResponse(at unsafe.Pointer, size uint32)

//go:wasmimport wapc __guest_error
func guestError(at unsafe.Pointer, size uint32)

//go:wasmimport wapc __host_call
func hostCall(binding unsafe.Pointer, bindingSize uint32, namespace unsafe.Pointer, namespaceSize uint32,
	operation unsafe.Pointer, operationSize uint32, payload unsafe.Pointer, payloadSize uint32) uint32

//go:wasmimport wapc __host_response_len
func hostResponseSize() uint32

//go:wasmimport wapc __host_response
func hostResponse(to unsafe.Pointer)

//go:wasmimport wapc __host_error_len
func hostErrorSize() uint32

//go:wasmimport wapc __host_error
func hostError(to unsafe.Pointer)

func text(value string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(value)), uint32(len(value))
}

func slice(value []byte) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.SliceData(value)), uint32(len(value))
}

// filled makes room and lets the host write into it. The collector moves nothing, and does not run meanwhile.
func filled(size uint32, fill func(unsafe.Pointer)) []byte {
	if size == 0 {
		return nil
	}
	room := make([]byte, size)
	fill(unsafe.Pointer(unsafe.SliceData(room)))
	return room
}

func askHost(link, target, operation string, payload []byte) ([]byte, error) {
	binding, bindingSize := text(link)
	namespace, namespaceSize := text(target)
	name, nameSize := text(operation)
	body, bodySize := slice(payload)
	if hostCall(binding, bindingSize, namespace, namespaceSize, name, nameSize, body, bodySize) != 1 {
		return nil, errorFromHost(string(filled(hostErrorSize(), func(to unsafe.Pointer) { hostError(to) })))
	}
	return filled(hostResponseSize(), func(to unsafe.Pointer) { hostResponse(to) }), nil
}

//go:wasmexport __guest_call
func guestCall(operationSize, payloadSize uint32) uint32 {
	// One more byte each: there has to be an address also where nothing is written to it.
	operation, payload := make([]byte, operationSize+1), make([]byte, payloadSize+1)
	guestRequest(unsafe.Pointer(&operation[0]), unsafe.Pointer(&payload[0]))
	reply, err := answer(string(operation[:operationSize]), payload[:payloadSize])
	if err != nil {
		guestError(text(textOf(err)))
		return 0
	}
	guestResponse(slice(reply))
	return 1
}
