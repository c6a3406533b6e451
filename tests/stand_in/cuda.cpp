// A stand-in for libtorch_cuda.so on machines without a GPU: device 0 is memory of the host, and what is to be computed
// there is computed by the CPU's operations, between copies as a GPU's would be. It is as strict as a GPU is: an operation
// that gets tensors of the host and of the device together is refused, and reading the device takes a copy.
//
// What it cannot show: a GPU's own operations, their bits, and whether they are the same each time.

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/NativeFunctions.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

namespace {

constexpr c10::DeviceType CUDA = c10::DeviceType::CUDA;
const c10::Device first(CUDA, 0);

// Bytes in use, and how many there are: CONREC_STAND_IN_BYTES.
std::atomic<size_t> used{0};

size_t size_of_device() {
  static const size_t size = [] {
    const char* said = std::getenv("CONREC_STAND_IN_BYTES");
    return said ? std::strtoull(said, nullptr, 10) : ~size_t{0};
  }();
  return size;
}

struct Block {
  size_t length;
  void* memory;
};

void release(void* context) {
  auto* block = static_cast<Block*>(context);
  used -= block->length;
  std::free(block->memory);
  delete block;
}

struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t length) override {
    const size_t rounded = (length + 511) / 512 * 512;
    const bool full = (used += rounded) > size_of_device();
    void* memory = full ? nullptr : std::aligned_alloc(512, std::max<size_t>(rounded, 512));
    if (memory == nullptr) {
      used -= rounded;
      TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory. Tried to allocate ", length, " bytes.");
    }
    return {memory, new Block{rounded, memory}, &release, first};
  }
  c10::DeleterFnPtr raw_deleter() const override {
    return nullptr;
  }
  void copy_data(void* to, const void* from, size_t length) const override {
    std::memcpy(to, from, length);
  }
};

Memory memory;

struct Guard final : c10::impl::NoOpDeviceGuardImpl<CUDA> {
  c10::Device exchangeDevice(c10::Device) const override {
    return first;
  }
  c10::Device getDevice() const override {
    return first;
  }
  c10::Stream getStream(c10::Device) const noexcept override {
    return c10::Stream(c10::Stream::DEFAULT, first);
  }
  c10::Stream exchangeStream(c10::Stream) const noexcept override {
    return c10::Stream(c10::Stream::DEFAULT, first);
  }
};

C10_REGISTER_GUARD_IMPL(CUDA, Guard);

struct StandIn final : at::CUDAHooksInterface {
  explicit StandIn(at::CUDAHooksArgs) {}
  void init() const override {}
  bool isBuilt() const override {
    return true;
  }
  bool isAvailable() const override {
    return count() > 0;
  }
  bool hasCUDA() const override {
    return count() > 0;
  }
  int getNumGPUs() const override {
    return count();
  }
  c10::DeviceIndex deviceCount() const override {
    return static_cast<c10::DeviceIndex>(count());
  }
  c10::DeviceIndex current_device() const override {
    return 0;
  }
  bool hasPrimaryContext(c10::DeviceIndex) const override {
    return true;
  }
  c10::Allocator* getCUDADeviceAllocator() const override {
    return &memory;
  }
  // As a GPU, it is hidden by an empty CUDA_VISIBLE_DEVICES.
  static int count() {
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    return visible != nullptr && *visible == '\0' ? 0 : 1;
  }
};

} // namespace

namespace at {
// libtorch asks for this name.
C10_REGISTER_CLASS(CUDAHooksRegistry, CUDAHooks, StandIn)
} // namespace at

namespace {

constexpr c10::DispatchKeySet KEYS(c10::DispatchKey::CUDA);

at::Tensor empty(
    at::IntArrayRef size,
    std::optional<at::ScalarType> type,
    std::optional<at::Layout>,
    std::optional<at::Device>,
    std::optional<bool>,
    std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, &memory, KEYS, c10::dtype_or_default(type), format);
}

at::Tensor empty_strided(
    at::IntArrayRef size,
    at::IntArrayRef stride,
    std::optional<at::ScalarType> type,
    std::optional<at::Layout>,
    std::optional<at::Device>,
    std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, &memory, KEYS, c10::dtype_or_default(type));
}

// The same bytes as a tensor of the host.
at::Tensor as_host(const at::Tensor& tensor) {
  if (tensor.is_cpu()) {
    return tensor;
  }
  const auto options = at::TensorOptions().dtype(tensor.scalar_type());
  return at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(), options);
}

at::Tensor& copy(at::Tensor& to, const at::Tensor& from, bool) {
  as_host(to).copy_(as_host(from));
  return to;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  at::native::resize_(to, from.sizes(), std::nullopt);
  as_host(to).copy_(as_host(from));
  return to;
}

void refuse_host(const at::Tensor& tensor, const c10::OperatorHandle& op) {
  const bool fits = !tensor.defined() || tensor.is_cuda() || tensor.unsafeGetTensorImpl()->is_wrapped_number();
  TORCH_CHECK(fits, "Expected all tensors to be on the same device, but found cuda:0 and cpu in ", op.operator_name());
}

void on_host(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  for (const auto& value : torch::jit::last(*stack, op.schema().arguments().size())) {
    if (value.isTensor()) {
      refuse_host(value.toTensor(), op);
    } else if (value.isTensorList()) {
      for (const auto& tensor : value.toTensorVector()) {
        refuse_host(tensor, op);
      }
    }
  }
  at::native::cpu_fallback(op, stack, true);
}

TORCH_LIBRARY_IMPL(_, CUDA, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&on_host>());
}

TORCH_LIBRARY_IMPL(aten, CUDA, m) {
  m.impl("empty.memory_format", &empty);
  m.impl("empty_strided", &empty_strided);
  m.impl("copy_", &copy);
  m.impl("_copy_from_and_resize", &copy_from_and_resize);
  m.impl("as_strided", &at::native::as_strided_tensorimpl);
  m.impl("view", &at::native::view);
  m.impl("_reshape_alias", &at::native::_reshape_alias);
  m.impl("unfold", &at::native::unfold);
  m.impl("resize_", &at::native::resize_);
}

const bool registered = [] {
  c10::SetAllocator(CUDA, &memory);
  return true;
}();

} // namespace
