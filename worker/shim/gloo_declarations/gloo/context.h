// Stands in for gloo's header of this name, which the libtorch wheel leaves out.
// Only the member function that c10d's header calls inline is declared. The shim never makes, reads or
// destroys a Context itself, so its layout need not be known here.
#pragma once

#include <chrono>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

} // namespace gloo
