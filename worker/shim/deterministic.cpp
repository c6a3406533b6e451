// Which of libtorch's ways to compute on a GPU are allowed: those that give the same bits each time, in whole f32.

#include "deterministic.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>

#include <ATen/Context.h>

namespace {

// cuBLAS and the driver read these when CUDA begins. They decide which products are computed how, so that a worker's
// environment must not: they are set whatever stands there. This runs before main, when no other thread can read them.
__attribute__((constructor)) void fix_the_environment_of_cuda() {
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 1);
  setenv("NVIDIA_TF32_OVERRIDE", "0", 1);
}

void switch_on() {
  auto& context = at::globalContext();
  const bool only_warn = false;
  context.setDeterministicAlgorithms(true, only_warn);
  // It finds reads of memory that nobody wrote; there are none, and filling costs time.
  context.setDeterministicFillUninitializedMemory(false);
  context.setDeterministicCuDNN(true);
  context.setBenchmarkCuDNN(false);
  context.setAllowTF32CuBLAS(false);
  context.setAllowTF32CuDNN(false);
  context.setFloat32MatmulPrecision("highest");
  // Attention by plain products: the backward passes of the fused kernels add up in any order.
  context.setSDPUseFlash(false);
  context.setSDPUseMemEfficient(false);
  context.setSDPUseCuDNN(false);
  context.setSDPUseMath(true);
}

int32_t refuse(char* text, size_t room, const std::string& words) {
  const size_t length = std::min(words.size(), room - 1);
  std::memcpy(text, words.data(), length);
  text[length] = '\0';
  return 1;
}

} // namespace

int32_t conrec_compute_deterministically(char* text, size_t room) {
  try {
    switch_on();
    return 0;
  } catch (const c10::Error& error) {
    return refuse(text, room, error.what_without_backtrace());
  } catch (const std::exception& error) {
    return refuse(text, room, error.what());
  } catch (...) {
    return refuse(text, room, "an exception of unknown type");
  }
}
