// Stands in for gloo's header of this name, which the libtorch wheel leaves out.
// A device is only handed on from c10d's factory to c10d's options, as a shared pointer.
#pragma once

#include <memory>

namespace gloo {
namespace transport {

class Device;

class UnboundBuffer {
 public:
  virtual ~UnboundBuffer();
};

} // namespace transport
} // namespace gloo
