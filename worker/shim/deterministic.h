// The C face of libtorch's switches for the same bits on a GPU: what worker/src/cuda.rs declares again in Rust.
#pragma once

#include <stddef.h>
#include <stdint.h>

extern "C" {

// From now on operations with a GPU give the same bits each time, or an error where libtorch has no such operation.
// 0 when done; else `text`, which has this much room, says why not and ends with a zero byte.
int32_t conrec_compute_deterministically(char* text, size_t room);
}
