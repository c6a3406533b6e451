// A thin face over libtorch's own c10d: a TCPStore where the members of a group meet, and Gloo groups.
//
// Each call works on a copy of the caller's buffer and copies back only a whole result. So a call that is given
// up at its deadline, or aborted, can return while Gloo's thread still holds the copy: the caller's values are
// then what they were before.

#include "collective.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <ATen/core/ivalue.h>
#include <ATen/ops/empty.h>
#include <c10/util/Flags.h>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

C10_DECLARE_int(caffe2_log_level);

using std::chrono::milliseconds;

struct conrec_rendezvous {
  c10::intrusive_ptr<c10d::TCPStore> store;
};

struct conrec_meeting {
  c10::intrusive_ptr<c10d::PrefixStore> store;
  std::shared_ptr<::gloo::transport::Device> device;
};

namespace {

// Shared by the waiting caller, an aborting thread and Gloo's thread.
struct Signal {
  std::mutex mutex;
  std::condition_variable changed;
  bool finished = false;
  bool aborted = false;
};

} // namespace

struct conrec_group {
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
  milliseconds timeout{0};
  // One call at a time: members match calls by their order.
  std::mutex calls;
  // The call under way; guarded by `aborting`.
  std::mutex aborting;
  std::shared_ptr<Signal> signal;
  std::atomic<bool> aborted{false};
  // A call was given up while Gloo still worked on it.
  bool abandoned = false;
  // Kept between calls: fresh pages cost more than the copy.
  at::Tensor staging;
};

namespace {

void say(conrec_failure* failure, const std::string& text) {
  const size_t length = std::min(text.size(), sizeof(failure->text) - 1);
  std::memcpy(failure->text, text.data(), length);
  failure->text[length] = '\0';
}

int32_t guarded(conrec_failure* failure, const std::function<int32_t()>& action) {
  try {
    return action();
  } catch (const c10::Error& error) {
    say(failure, error.what_without_backtrace());
  } catch (const std::exception& error) {
    say(failure, error.what());
  } catch (...) {
    say(failure, "an exception of unknown type");
  }
  return CONREC_FAILED;
}

// Errors come back as values; c10d's own lines on the terminal would say them twice.
void keep_quiet() {
  constexpr int fatal_only = 3;
  FLAGS_caffe2_log_level = fatal_only;
}

// libtorch 2.11 records each call in a map that it guards by no lock: two groups calling at the same time in one
// process can loop for ever in it. Size 0 switches the recorder off. It reads the environment at its first use; this
// runs before main, when no other thread can read it.
__attribute__((constructor)) void switch_recorder_off() {
  setenv("TORCH_FR_BUFFER_SIZE", "0", 1);
  setenv("TORCH_NCCL_TRACE_BUFFER_SIZE", "0", 1);
}

// NCCL encrypts nothing and asks nobody who he is; by itself it would listen on an interface that other machines reach.
__attribute__((constructor)) void keep_nccl_on_this_machine() {
  setenv("NCCL_SOCKET_IFNAME", "=lo", 0);
}

int32_t wait_for(conrec_group* group, const c10::intrusive_ptr<c10d::Work>& work, conrec_failure* failure) {
  auto signal = std::make_shared<Signal>();
  {
    std::lock_guard<std::mutex> lock(group->aborting);
    group->signal = signal;
    signal->aborted = group->aborted.load();
  }
  work->getFuture()->addCallback([signal](c10::ivalue::Future&) {
    std::lock_guard<std::mutex> lock(signal->mutex);
    signal->finished = true;
    signal->changed.notify_all();
  });
  std::unique_lock<std::mutex> lock(signal->mutex);
  const bool ended =
      signal->changed.wait_for(lock, group->timeout, [&] { return signal->finished || signal->aborted; });
  if (signal->finished) {
    lock.unlock();
    work->wait();
    return CONREC_DONE;
  }
  group->abandoned = true;
  group->staging = at::Tensor();
  say(failure, ended ? "the call was aborted" : "the peers did not all take part in time");
  return ended ? CONREC_ABORTED : CONREC_DEADLINE;
}

using Start = std::function<c10::intrusive_ptr<c10d::Work>(std::vector<at::Tensor>&)>;

// Runs one collective on a copy of `data`; a barrier has none.
int32_t call_on_copy(
    conrec_group* group, void* data, size_t length, at::ScalarType type, conrec_failure* failure, const Start& start) {
  return guarded(failure, [&]() -> int32_t {
    std::lock_guard<std::mutex> one(group->calls);
    if (group->aborted || group->abandoned) {
      say(failure, "this group was given up in an earlier call; a new roster is needed");
      return CONREC_ABORTED;
    }
    std::vector<at::Tensor> tensors;
    const auto numel = static_cast<int64_t>(length);
    if (numel > 0) {
      if (!group->staging.defined() || group->staging.numel() != numel || group->staging.scalar_type() != type) {
        group->staging = at::empty({numel}, at::TensorOptions().dtype(type));
      }
      std::memcpy(group->staging.data_ptr(), data, group->staging.nbytes());
      tensors.push_back(group->staging);
    }
    const int32_t code = wait_for(group, start(tensors), failure);
    if (code == CONREC_DONE && numel > 0) {
      std::memcpy(data, group->staging.data_ptr(), group->staging.nbytes());
    }
    return code;
  });
}

int32_t sum(conrec_group* group, void* values, size_t length, at::ScalarType type, conrec_failure* failure) {
  return call_on_copy(group, values, length, type, failure, [&](std::vector<at::Tensor>& tensors) {
    c10d::AllreduceOptions options;
    options.reduceOp = c10d::ReduceOp::SUM;
    return group->gloo->allreduce(tensors, options);
  });
}

// The rendezvous as the members of one roster see it.
c10::intrusive_ptr<c10d::PrefixStore> meeting_of(const conrec_membership* membership) {
  const milliseconds timeout(membership->timeout_ms);
  c10d::TCPStoreOptions options;
  options.port = membership->port;
  options.waitWorkers = false;
  options.timeout = timeout;
  c10::intrusive_ptr<c10d::Store> meeting = c10::make_intrusive<c10d::TCPStore>(membership->host, options);
  auto prefixed = c10::make_intrusive<c10d::PrefixStore>(membership->prefix, meeting);
  prefixed->setTimeout(timeout);
  return prefixed;
}

} // namespace

int32_t conrec_rendezvous_start(
    const char* host, uint16_t port, int32_t socket, conrec_rendezvous** server, conrec_failure* failure) {
  return guarded(failure, [&]() -> int32_t {
    keep_quiet();
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = true;
    options.waitWorkers = false;
    // By itself the server would listen on all interfaces.
    options.masterListenFd = socket;
    auto store = c10::make_intrusive<c10d::TCPStore>(host, options);
    *server = new conrec_rendezvous{std::move(store)};
    return CONREC_DONE;
  });
}

void conrec_rendezvous_stop(conrec_rendezvous* server) {
  conrec_failure unread;
  guarded(&unread, [&]() -> int32_t {
    delete server;
    return CONREC_DONE;
  });
}

int32_t conrec_share(const conrec_membership* membership, uint8_t* bytes, size_t length, conrec_failure* failure) {
  return guarded(failure, [&]() -> int32_t {
    keep_quiet();
    auto meeting = meeting_of(membership);
    const std::string key = "shared";
    if (membership->rank == 0) {
      meeting->set(key, std::vector<uint8_t>(bytes, bytes + length));
      return CONREC_DONE;
    }
    const std::vector<uint8_t> found = meeting->get(key);
    if (found.size() != length) {
      say(failure, "rank 0 shared " + std::to_string(found.size()) + " bytes, expected " + std::to_string(length));
      return CONREC_FAILED;
    }
    std::copy(found.begin(), found.end(), bytes);
    return CONREC_DONE;
  });
}

int32_t conrec_meeting_open(const conrec_membership* membership, conrec_meeting** meeting, conrec_failure* failure) {
  return guarded(failure, [&]() -> int32_t {
    keep_quiet();
    auto prefixed = meeting_of(membership);
    auto device = c10d::ProcessGroupGloo::createDeviceForHostname(membership->address);
    *meeting = new conrec_meeting{std::move(prefixed), std::move(device)};
    return CONREC_DONE;
  });
}

int32_t conrec_meeting_tell(conrec_meeting* meeting, const char* key, const char* text, conrec_failure* failure) {
  return guarded(failure, [&]() -> int32_t {
    meeting->store->set(key, std::vector<uint8_t>(text, text + std::strlen(text)));
    return CONREC_DONE;
  });
}

int32_t conrec_meeting_ask(
    conrec_meeting* meeting, const char* key, char* text, size_t room, conrec_failure* failure) {
  return guarded(failure, [&]() -> int32_t {
    const std::vector<uint8_t> said = meeting->store->get(key);
    if (said.size() >= room) {
      say(failure, "a member said more than there is room for");
      return CONREC_FAILED;
    }
    std::memcpy(text, said.data(), said.size());
    text[said.size()] = '\0';
    return CONREC_DONE;
  });
}

void conrec_meeting_drop(conrec_meeting* meeting) {
  conrec_failure unread;
  guarded(&unread, [&]() -> int32_t {
    delete meeting;
    return CONREC_DONE;
  });
}

int32_t conrec_group_form(
    conrec_meeting* meeting, const conrec_membership* membership, conrec_group** group, conrec_failure* failure) {
  return guarded(failure, [&]() -> int32_t {
    const milliseconds timeout(membership->timeout_ms);
    auto gloo_options = c10d::ProcessGroupGloo::Options::create(timeout);
    gloo_options->devices.push_back(meeting->device);
    gloo_options->threads = 1;
    auto formed = std::make_unique<conrec_group>();
    formed->timeout = timeout;
    formed->gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(
        meeting->store, membership->rank, membership->world, gloo_options);
    *group = formed.release();
    return CONREC_DONE;
  });
}

int32_t conrec_group_sum_i64(conrec_group* group, int64_t* values, size_t length, conrec_failure* failure) {
  return sum(group, values, length, at::kLong, failure);
}

int32_t conrec_group_sum_f32(conrec_group* group, float* values, size_t length, conrec_failure* failure) {
  return sum(group, values, length, at::kFloat, failure);
}

int32_t conrec_group_broadcast(
    conrec_group* group, uint8_t* bytes, size_t length, int32_t root, conrec_failure* failure) {
  return call_on_copy(group, bytes, length, at::kByte, failure, [&](std::vector<at::Tensor>& tensors) {
    c10d::BroadcastOptions options;
    options.rootRank = root;
    return group->gloo->broadcast(tensors, options);
  });
}

int32_t conrec_group_barrier(conrec_group* group, conrec_failure* failure) {
  return call_on_copy(group, nullptr, 0, at::kByte, failure, [&](std::vector<at::Tensor>&) {
    return group->gloo->barrier(c10d::BarrierOptions());
  });
}

void conrec_group_abort(conrec_group* group) {
  std::lock_guard<std::mutex> lock(group->aborting);
  group->aborted = true;
  if (group->signal) {
    std::lock_guard<std::mutex> inner(group->signal->mutex);
    group->signal->aborted = true;
    group->signal->changed.notify_all();
  }
}

void conrec_group_drop(conrec_group* group) {
  conrec_failure unread;
  guarded(&unread, [&]() -> int32_t {
    std::unique_ptr<conrec_group> owned(group);
    if (owned->abandoned) {
      // Gloo's thread ends at its own deadline; nobody waits for that.
      std::thread([gloo = std::move(owned->gloo)]() mutable { gloo.reset(); }).detach();
    }
    return CONREC_DONE;
  });
}
