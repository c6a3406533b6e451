// The C face of the collectives: what worker/src/collective/ffi.rs declares again in Rust.
// No exception passes it. Every call ends: with a result, an error or at its deadline.
#pragma once

#include <stddef.h>
#include <stdint.h>

extern "C" {

enum conrec_code : int32_t {
  CONREC_DONE = 0,
  CONREC_DEADLINE = 1,
  CONREC_ABORTED = 2,
  CONREC_FAILED = 3,
};

// Why a call failed; `text` ends with a zero byte.
struct conrec_failure {
  char text[512];
};

// Who takes part in a group and where its members meet.
struct conrec_membership {
  const char* host;     // of the rendezvous
  const char* address;  // on which this member listens to its peers
  const char* prefix;   // keeps rosters apart in the rendezvous
  int64_t timeout_ms;   // of forming the group and of each call
  int32_t rank;
  int32_t world;
  uint16_t port;        // of the rendezvous
};

struct conrec_rendezvous;
struct conrec_meeting;
struct conrec_group;

// Serves on `socket`, which is bound to `port` of `host`; the socket belongs to the server from then on.
int32_t conrec_rendezvous_start(
    const char* host, uint16_t port, int32_t socket, conrec_rendezvous** server, conrec_failure* failure);
void conrec_rendezvous_stop(conrec_rendezvous* server);

// Rank 0's bytes reach every member, before a group has formed.
int32_t conrec_share(
    const conrec_membership* membership, uint8_t* bytes, size_t length, conrec_failure* failure);

// Reaches the rendezvous and listens to the peers; the group is formed from it.
int32_t conrec_meeting_open(const conrec_membership* membership, conrec_meeting** meeting, conrec_failure* failure);
// Says something to all members of the roster, under a key.
int32_t conrec_meeting_tell(conrec_meeting* meeting, const char* key, const char* text, conrec_failure* failure);
// Waits for what a member says under a key; `text` has room for `room` bytes, the last of which is zero.
int32_t conrec_meeting_ask(
    conrec_meeting* meeting, const char* key, char* text, size_t room, conrec_failure* failure);
void conrec_meeting_drop(conrec_meeting* meeting);

int32_t conrec_group_form(
    conrec_meeting* meeting, const conrec_membership* membership, conrec_group** group, conrec_failure* failure);
int32_t conrec_group_sum_i64(conrec_group* group, int64_t* values, size_t length, conrec_failure* failure);
int32_t conrec_group_sum_f32(conrec_group* group, float* values, size_t length, conrec_failure* failure);
int32_t conrec_group_broadcast(
    conrec_group* group, uint8_t* bytes, size_t length, int32_t root, conrec_failure* failure);
int32_t conrec_group_barrier(conrec_group* group, conrec_failure* failure);

// May be called from any thread while another one waits in a call of the same group.
void conrec_group_abort(conrec_group* group);
// No call may be under way, and none may follow.
void conrec_group_drop(conrec_group* group);
}
