//! A roster over NCCL: sums on the GPU, one GPU a member. Not run on a GPU so far; `scripts/check-gpu` does that.
//!
//! Values come from the host and go back there: they are copied into pinned memory, summed on the device, copied back,
//! and handed to the caller only when all of that has succeeded. NCCL itself never gives up, so each call is watched: at
//! the deadline, on an error of a peer and on [`Collective::abort`] the communicator is aborted, and the roster is broken.

mod library;
pub mod way;

use super::membership::{FORM, Membership, Place, number, within_deadline};
use super::{Collective, CollectiveError, Peers, check_root};
use library::{FLOAT32, Handle, IN_PROGRESS, INT64, INVALID_USAGE, NOT_READY, SUCCESS, SUM, Table, UINT8, UniqueId};
use library::{TO_DEVICE, TO_HOST, table, unavailable};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks at a call under way.
const LOOK: Duration = Duration::from_micros(50);

/// One member of a roster over NCCL.
pub struct Nccl {
    table: &'static Table,
    rank: u32,
    world: u32,
    deadline: Duration,
    aborted: AtomicBool,
    group: Mutex<Group>,
}

/// What belongs to the device. All of it is used under the mutex alone.
struct Group {
    comm: Handle,
    stream: Handle,
    device: *mut c_void,
    pinned: *mut c_void,
    capacity: usize,
    /// The communicator was aborted: nothing more can be done with it.
    broken: bool,
}

// SAFETY: NCCL's and CUDA's handles have no tie to the thread that made them, once the device is set on the thread.
unsafe impl Send for Group {}

impl Nccl {
    /// Whether NCCL and a GPU are there.
    ///
    /// # Errors
    /// [`CollectiveError::Unavailable`] with what was looked for, what was found and what to do.
    pub fn available() -> Result<(), CollectiveError> {
        let table = table()?;
        let mut devices = 0;
        // SAFETY: the pointer is valid for writing.
        let code = unsafe { (table.device_count)(&mut devices) };
        if code != SUCCESS || devices < 1 {
            let said = if code == SUCCESS { "none".to_owned() } else { table.cuda_says(code) };
            return Err(unavailable(format!(
                "looked for a GPU; found {said}; check nvidia-smi and CUDA_VISIBLE_DEVICES, or set \
                 cluster.collective = \"gloo\""
            )));
        }
        Ok(())
    }

    /// Meets the other members; the roster's unique id comes from rank 0 over the rendezvous. Uses the first GPU of those
    /// that CUDA_VISIBLE_DEVICES leaves.
    ///
    /// # Errors
    /// As [`Gloo::form_unless`](super::Gloo::form_unless), and [`CollectiveError::Unavailable`].
    pub fn form_unless(
        membership: &Membership,
        peers: &Peers,
        given_up: &dyn Fn() -> bool,
    ) -> Result<Self, CollectiveError> {
        let place = Place::of(membership, peers)?;
        Self::available()?;
        let asked = membership.clone();
        within_deadline(membership, given_up, move || connect(&place, &asked))
    }

    /// Runs one call on a copy of `bytes`; `start` puts it on the stream, in place on the device's buffer.
    fn call(
        &self,
        call: &'static str,
        bytes: &mut [u8],
        start: impl FnOnce(&Table, &Group) -> c_int,
    ) -> Result<(), CollectiveError> {
        let mut group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        if group.broken || self.aborted.load(Ordering::SeqCst) {
            group.give_up(self.table);
            let message = "this roster was given up in an earlier call; a new one is needed".to_owned();
            return Err(CollectiveError::Aborted { call, message });
        }
        let done = group.run((self, call), bytes, start);
        if done.is_err() {
            group.give_up(self.table);
        }
        done
    }

    fn cuda(&self, call: &'static str, code: c_int) -> Result<(), CollectiveError> {
        if code == SUCCESS {
            return Ok(());
        }
        Err(CollectiveError::Other { call, message: format!("CUDA: {}", self.table.cuda_says(code)) })
    }

    fn nccl(&self, call: &'static str, code: c_int) -> Result<(), CollectiveError> {
        if code == SUCCESS || code == IN_PROGRESS {
            return Ok(());
        }
        Err(nccl_error(self.table, call, code))
    }
}

impl Collective for Nccl {
    fn rank(&self) -> u32 {
        self.rank
    }

    fn world(&self) -> u32 {
        self.world
    }

    fn all_reduce_sum(&self, values: &mut [i64]) -> Result<(), CollectiveError> {
        let length = values.len();
        // SAFETY: every bit pattern is a number, the length is that of the slice, and bytes need no alignment.
        let bytes = unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) };
        self.sum(bytes, length, INT64)
    }

    fn all_reduce_sum_f32(&self, values: &mut [f32]) -> Result<(), CollectiveError> {
        let length = values.len();
        // SAFETY: as in all_reduce_sum.
        let bytes = unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) };
        self.sum(bytes, length, FLOAT32)
    }

    fn broadcast(&self, bytes: &mut [u8], root: u32) -> Result<(), CollectiveError> {
        check_root(root, self.world)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let (root, length) = (number(root)?, bytes.len());
        self.call("broadcast", bytes, |table, group| {
            let at = group.device;
            // SAFETY: the buffer holds `length` bytes; communicator and stream live as long as the group.
            unsafe { (table.broadcast)(at, at, length, UINT8, root, group.comm, group.stream) }
        })
    }

    fn barrier(&self) -> Result<(), CollectiveError> {
        self.reduce("barrier", &mut [0; size_of::<i64>()], 1, INT64)
    }

    fn abort(&self) {
        // The call under way looks at this every few microseconds; it owns the communicator and aborts it.
        self.aborted.store(true, Ordering::SeqCst);
    }
}

impl Nccl {
    fn sum(&self, bytes: &mut [u8], length: usize, kind: c_int) -> Result<(), CollectiveError> {
        if length == 0 { Ok(()) } else { self.reduce("all-reduce", bytes, length, kind) }
    }

    fn reduce(&self, call: &'static str, bytes: &mut [u8], length: usize, kind: c_int) -> Result<(), CollectiveError> {
        self.call(call, bytes, |table, group| {
            let at = group.device;
            // SAFETY: the buffer holds `length` values of this kind; communicator and stream live as long as the group.
            unsafe { (table.all_reduce)(at, at, length, kind, SUM, group.comm, group.stream) }
        })
    }
}

impl Group {
    fn run(
        &mut self,
        (of, call): (&Nccl, &'static str),
        bytes: &mut [u8],
        start: impl FnOnce(&Table, &Group) -> c_int,
    ) -> Result<(), CollectiveError> {
        let (table, length) = (of.table, bytes.len());
        // SAFETY: takes a number.
        of.cuda(call, unsafe { (table.set_device)(0) })?;
        self.reserve((of, call), length)?;
        // SAFETY: both buffers hold at least `length` bytes; the stream orders what follows, and nothing else writes
        // them before it has ended or was aborted.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), self.pinned.cast(), length);
            of.cuda(call, (table.copy)(self.device, self.pinned, length, TO_DEVICE, self.stream))?;
        }
        of.nccl(call, start(table, self))?;
        // SAFETY: as above.
        of.cuda(call, unsafe { (table.copy)(self.pinned, self.device, length, TO_HOST, self.stream) })?;
        self.watch((of, call))?;
        // SAFETY: the stream has ended: the pinned buffer holds the result.
        unsafe { ptr::copy_nonoverlapping(self.pinned.cast(), bytes.as_mut_ptr(), length) };
        Ok(())
    }

    /// Buffers of at least so many bytes; kept between calls, as they cost more than the copies.
    fn reserve(&mut self, (of, call): (&Nccl, &'static str), length: usize) -> Result<(), CollectiveError> {
        if self.capacity >= length {
            return Ok(());
        }
        self.free(of.table);
        // SAFETY: the pointers are valid for writing; what they get is freed once, in `free`.
        unsafe {
            of.cuda(call, (of.table.malloc)(&mut self.device, length))?;
            of.cuda(call, (of.table.malloc_host)(&mut self.pinned, length))?;
        }
        self.capacity = length;
        Ok(())
    }

    /// Waits for the stream, at most to the deadline, for an error of a peer, or until the roster is given up.
    fn watch(&self, (of, call): (&Nccl, &'static str)) -> Result<(), CollectiveError> {
        let begun = Instant::now();
        loop {
            // SAFETY: the stream lives as long as the group.
            match unsafe { (of.table.stream_query)(self.stream) } {
                SUCCESS => return Ok(()),
                NOT_READY => {}
                code => return of.cuda(call, code),
            }
            let mut state = SUCCESS;
            // SAFETY: the communicator lives, and the pointer is valid for writing.
            of.nccl(call, unsafe { (of.table.async_error)(self.comm, &mut state) })?;
            of.nccl(call, state)?;
            if of.aborted.load(Ordering::SeqCst) {
                return Err(CollectiveError::Aborted { call, message: "the call was aborted".to_owned() });
            }
            if begun.elapsed() >= of.deadline {
                let message = "the peers did not all take part in time".to_owned();
                return Err(CollectiveError::Timeout { call, deadline: of.deadline, message });
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Aborts the communicator: what NCCL still has on the device ends, and nothing waits for a peer any more.
    fn give_up(&mut self, table: &Table) {
        if !self.broken {
            self.broken = true;
            // SAFETY: the communicator lives and is not used again.
            let _ = unsafe { (table.abort)(self.comm) };
        }
    }

    fn free(&mut self, table: &Table) {
        // SAFETY: both pointers came from the calls that fit, or are null, which both take.
        unsafe {
            let _ = (table.free)(self.device);
            let _ = (table.free_host)(self.pinned);
        }
        (self.device, self.pinned, self.capacity) = (ptr::null_mut(), ptr::null_mut(), 0);
    }
}

impl Drop for Nccl {
    fn drop(&mut self) {
        let table = self.table;
        let group = self.group.get_mut().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: `&mut self` excludes calls; each handle is given back once.
        unsafe {
            let _ = (table.set_device)(0);
            if !group.broken {
                let _ = (table.destroy)(group.comm);
            }
            let _ = (table.stream_destroy)(group.stream);
        }
        group.free(table);
    }
}

fn connect(place: &Place, membership: &Membership) -> Result<Nccl, CollectiveError> {
    let table = table()?;
    let Membership { rank, world, deadline, .. } = *membership;
    let mut id = UniqueId([0; 128]);
    if rank == 0 {
        // SAFETY: the pointer is valid for writing.
        check(table, unsafe { (table.unique_id)(&mut id) })?;
    }
    place.share(&mut id.0, deadline)?;
    let (mut comm, mut stream) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: takes a number.
    cuda_check(table, unsafe { (table.set_device)(0) })?;
    // SAFETY: the pointer is valid for writing, and the id is that of this roster.
    check(table, unsafe { (table.init)(&mut comm, number(world)?, id, number(rank)?) })?;
    // SAFETY: the pointer is valid for writing.
    let made = cuda_check(table, unsafe { (table.stream)(&mut stream) });
    if let Err(error) = made {
        // SAFETY: the communicator was made above and is used by nobody.
        let _ = unsafe { (table.abort)(comm) };
        return Err(error);
    }
    let (device, pinned) = (ptr::null_mut(), ptr::null_mut());
    let group = Mutex::new(Group { comm, stream, device, pinned, capacity: 0, broken: false });
    Ok(Nccl { table, rank, world, deadline, aborted: AtomicBool::new(false), group })
}

fn check(table: &Table, code: c_int) -> Result<(), CollectiveError> {
    if code == SUCCESS { Ok(()) } else { Err(nccl_error(table, FORM, code)) }
}

fn cuda_check(table: &Table, code: c_int) -> Result<(), CollectiveError> {
    if code == SUCCESS {
        return Ok(());
    }
    Err(CollectiveError::Other { call: FORM, message: format!("CUDA: {}", table.cuda_says(code)) })
}

/// NCCL's codes as the cases that a caller treats differently.
fn nccl_error(table: &Table, call: &'static str, code: c_int) -> CollectiveError {
    /// `ncclSystemError` and `ncclRemoteError`: a peer's connection broke.
    const PEER: [c_int; 2] = [2, 6];
    let said = format!("NCCL: {}", table.nccl_says(code));
    if PEER.contains(&code) {
        return CollectiveError::PeerLost { call, message: said };
    }
    if code == INVALID_USAGE {
        let message = format!(
            "{said}; NCCL refuses two members on one GPU: give each worker its own through CUDA_VISIBLE_DEVICES, or set \
             cluster.collective = \"gloo\", with which workers may share one"
        );
        return CollectiveError::Other { call, message };
    }
    CollectiveError::Other { call, message: said }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conrec_domain::ids::Fence;

    #[test]
    fn where_it_is_missing_the_error_says_what_was_looked_for_and_what_to_do() {
        let Err(error) = Nccl::available() else {
            println!("skipped: NCCL and a GPU are there");
            return;
        };
        let said = error.to_string();
        assert!(matches!(error, CollectiveError::Unavailable { .. }), "{said}");
        assert!(said.starts_with("NCCL is not available: looked for ") && said.contains("\"gloo\""), "{said}");
        let deadline = Duration::from_secs(1);
        let membership =
            Membership { rendezvous: "127.0.0.1:9".to_owned(), fence: Fence(1), rank: 0, world: 1, deadline };
        assert_eq!(Nccl::form_unless(&membership, &Peers::OnThisMachine, &|| false).err(), Some(error));
    }
}
