// Stands in for gloo's header of this name, which the libtorch wheel leaves out.
// c10d's ProcessGroupGloo.hpp includes it and uses nothing of it.
#pragma once
