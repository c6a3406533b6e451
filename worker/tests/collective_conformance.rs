//! One suite for every collective: what the trait promises must hold for a roster of one and for rosters over TCP, with
//! members as threads and as processes; and no missing or lost member may hang a call.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by a panic, and says what it did")]

use conrec_domain::ids::Fence;
use conrec_trust::authority::{Order, init};
use conrec_worker::collective::{
    Collective, CollectiveError, Gloo, MeetingPlace, Membership, Nccl, Peers, Rendezvous, Single,
};
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

const DEADLINE: Duration = Duration::from_secs(2);
/// What a call may take beyond its deadline on a loaded machine.
const SLACK: Duration = Duration::from_secs(3);
const EASY: Duration = Duration::from_secs(30);

fn membership(port: u16, fence: u64, rank: u32, world: u32, deadline: Duration) -> Membership {
    Membership { rendezvous: format!("127.0.0.1:{port}"), fence: Fence(fence), rank, world, deadline }
}

/// Forms the roster and waits until all others have: a member that leaves earlier would disturb their forming.
fn formed(membership: &Membership) -> Gloo {
    let member = Gloo::form(membership).unwrap();
    member.barrier().unwrap();
    member
}

/// Runs `act` once for each member of a roster, each on its own thread; the results are in the order of ranks.
fn roster<T: Send>(server: &Rendezvous, fence: u64, world: u32, act: impl Fn(Gloo) -> T + Sync) -> Vec<T> {
    let (port, act) = (server.port(), &act);
    thread::scope(|scope| {
        let member = |rank| scope.spawn(move || act(Gloo::form(&membership(port, fence, rank, world, EASY)).unwrap()));
        let members: Vec<_> = (0..world).map(member).collect();
        members.into_iter().map(|m| m.join().unwrap()).collect()
    })
}

/// What each member puts into the sum: values near both ends of i64, whose sums stay inside for up to 3 members.
fn extremes(rank: u32) -> Vec<i64> {
    let third = i64::MAX / 3;
    let r = i64::from(rank);
    vec![
        if rank == 0 { i64::MAX } else { 0 },
        if rank == 0 { i64::MIN } else { 0 },
        if rank == 0 { i64::MAX } else { -1 },
        if rank == 0 { i64::MIN } else { 1 },
        third - r,
        -third + r,
        (1 << 53) + 1,
        0,
    ]
}

/// The promises of the trait, as seen by one member.
fn keeps_the_promises(member: &dyn Collective) {
    let (rank, world) = (member.rank(), member.world());
    let n = i64::from(world);
    let ranks: i64 = (0..n).sum();

    let mut values = extremes(rank);
    member.all_reduce_sum(&mut values).unwrap();
    let third = i64::MAX / 3;
    let expected = vec![
        i64::MAX,
        i64::MIN,
        i64::MAX - (n - 1),
        i64::MIN + (n - 1),
        n * third - ranks,
        -n * third + ranks,
        n * ((1 << 53) + 1),
        0,
    ];
    assert_eq!(values, expected, "sums must be exact to the last bit");

    // Long enough that the backend cuts it into segments, and no multiple of the world.
    let mut long: Vec<i64> = (0..100_003).map(|i| i * (i64::from(rank) + 1)).collect();
    member.all_reduce_sum(&mut long).unwrap();
    assert!((0..100_003).all(|i| long[i as usize] == i * (ranks + n)));

    let mut floats = vec![0.5_f32 + rank as f32; 5];
    member.all_reduce_sum_f32(&mut floats).unwrap();
    assert_eq!(floats, vec![0.5 * n as f32 + ranks as f32; 5]);

    for root in 0..world {
        let mut bytes: Vec<u8> = (0..=255).map(|b: u8| b.wrapping_add(rank as u8)).collect();
        member.broadcast(&mut bytes, root).unwrap();
        assert!((0..=255).all(|b: u8| bytes[b as usize] == b.wrapping_add(root as u8)), "root {root}");
    }

    member.all_reduce_sum(&mut []).unwrap();
    member.broadcast(&mut [], 0).unwrap();
    member.barrier().unwrap();
    let error = member.broadcast(&mut [0], world).unwrap_err();
    assert!(matches!(error, CollectiveError::Argument { .. }), "{error}");
    member.barrier().unwrap();
}

#[test]
fn a_roster_of_one_keeps_the_promises() {
    let member = Single::new();
    keeps_the_promises(&member);
    member.abort();
    assert!(matches!(member.barrier(), Err(CollectiveError::Aborted { .. })));
}

#[test]
fn rosters_of_two_and_three_threads_keep_the_promises() {
    let server = Rendezvous::start().unwrap();
    for world in [2, 3] {
        roster(&server, u64::from(world), world, |member| keeps_the_promises(&member));
    }
}

#[test]
fn a_roster_of_one_over_tcp_keeps_the_promises() {
    let server = Rendezvous::start().unwrap();
    roster(&server, 1, 1, |member| keeps_the_promises(&member));
}

/// The member of an NCCL roster of one; none where there is no NCCL or no GPU, which is said.
fn alone_over_nccl(server: &Rendezvous) -> Option<Nccl> {
    if let Err(error) = Nccl::available() {
        println!("skipped: {error}");
        return None;
    }
    Some(Nccl::form_unless(&membership(server.port(), 1, 0, 1, EASY), &Peers::OnThisMachine, &|| false).unwrap())
}

#[test]
fn a_roster_of_one_over_nccl_keeps_the_promises() {
    let server = Rendezvous::start().unwrap();
    if let Some(member) = alone_over_nccl(&server) {
        keeps_the_promises(&member);
    }
}

#[test]
fn an_aborted_roster_over_nccl_stays_given_up() {
    let server = Rendezvous::start().unwrap();
    if let Some(member) = alone_over_nccl(&server) {
        member.abort();
        for _ in 0..2 {
            let error = member.all_reduce_sum(&mut [1, 2, 3]).unwrap_err();
            assert!(matches!(error, CollectiveError::Aborted { .. }), "{error}");
        }
    }
}

#[test]
fn nobody_passes_a_barrier_before_the_last_has_come() {
    let server = Rendezvous::start().unwrap();
    let pause = Duration::from_millis(200);
    let times = roster(&server, 1, 3, |member| {
        if member.rank() == 2 {
            thread::sleep(pause);
        }
        let came = Instant::now();
        member.barrier().unwrap();
        (came, Instant::now())
    });
    let last = times.iter().map(|t| t.0).max().unwrap();
    assert!(times.iter().all(|t| t.1 >= last));
}

#[test]
fn a_second_roster_forms_under_a_new_fence_with_other_ranks() {
    let server = Rendezvous::start().unwrap();
    roster(&server, 1, 3, |member| keeps_the_promises(&member));
    roster(&server, 2, 2, |member| keeps_the_promises(&member));
    roster(&server, 3, 3, |member| keeps_the_promises(&member));
}

#[test]
fn a_member_that_never_comes_is_an_error_at_the_deadline() {
    let server = Rendezvous::start().unwrap();
    let began = Instant::now();
    let error = Gloo::form(&membership(server.port(), 1, 0, 2, DEADLINE)).err().unwrap();
    assert!(matches!(error, CollectiveError::Timeout { .. }), "{error}");
    assert!(began.elapsed() < DEADLINE + SLACK, "took {:?}", began.elapsed());
}

#[test]
fn forming_ends_at_once_when_it_is_given_up() {
    let server = Rendezvous::start().unwrap();
    let began = Instant::now();
    let after = |time: Duration| move || began.elapsed() > time;
    let alone = membership(server.port(), 1, 0, 2, DEADLINE);
    let error = Gloo::form_unless(&alone, &Peers::OnThisMachine, &after(DEADLINE / 10)).err().unwrap();
    assert!(matches!(error, CollectiveError::Aborted { .. }), "{error}");
    assert!(began.elapsed() < DEADLINE, "took {:?}", began.elapsed());
}

#[test]
fn a_rendezvous_that_is_not_there_is_an_error_at_the_deadline() {
    let server = Rendezvous::start().unwrap();
    let port = server.port();
    drop(server);
    let began = Instant::now();
    let error = Gloo::form(&membership(port, 1, 0, 2, DEADLINE)).err().unwrap();
    let expected = matches!(error, CollectiveError::Timeout { .. } | CollectiveError::PeerLost { .. });
    assert!(expected, "{error:?}");
    assert!(began.elapsed() < DEADLINE + SLACK, "took {:?}", began.elapsed());
}

/// Forms a roster of two with a short deadline; rank 0 reduces, rank 1 does `other`. Gives rank 0's error, the values
/// that it holds afterwards, and how long the call took.
fn reduce_against(other: impl Fn(Gloo) + Sync) -> (CollectiveError, Vec<i64>, Duration) {
    let server = Rendezvous::start().unwrap();
    let port = server.port();
    thread::scope(|scope| {
        let other = &other;
        scope.spawn(move || other(formed(&membership(port, 1, 1, 2, DEADLINE))));
        let member = formed(&membership(port, 1, 0, 2, DEADLINE));
        let mut values = vec![7; 4096];
        let began = Instant::now();
        let error = member.all_reduce_sum(&mut values).unwrap_err();
        let took = began.elapsed();
        let again = member.all_reduce_sum(&mut values).unwrap_err();
        assert!(!matches!(again, CollectiveError::Argument { .. }), "a broken roster stays broken: {again}");
        (error, values, took)
    })
}

#[test]
fn a_member_that_does_not_reduce_is_an_error_at_the_deadline_and_the_values_stay() {
    let (error, values, took) = reduce_against(|member| {
        thread::sleep(DEADLINE + DEADLINE);
        drop(member);
    });
    assert!(matches!(error, CollectiveError::Timeout { .. }), "{error}");
    assert!(took < DEADLINE + SLACK, "took {took:?}");
    assert_eq!(values, vec![7; 4096]);
}

#[test]
fn a_member_that_leaves_is_noticed_before_the_deadline_and_the_values_stay() {
    let (error, values, took) = reduce_against(drop);
    assert!(matches!(error, CollectiveError::PeerLost { .. }), "{error:?}");
    assert!(took < DEADLINE, "took {took:?}");
    assert_eq!(values, vec![7; 4096]);
}

#[test]
fn abort_frees_a_waiting_call_at_once() {
    let server = Rendezvous::start().unwrap();
    let outcomes = roster(&server, 1, 2, |member| {
        if member.rank() == 1 {
            thread::sleep(Duration::from_secs(2));
            return (None, Duration::ZERO);
        }
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let began = Instant::now();
                (member.all_reduce_sum(&mut [1, 2, 3]).err(), began.elapsed())
            });
            thread::sleep(Duration::from_millis(200));
            member.abort();
            waiting.join().unwrap()
        })
    });
    let (error, took) = &outcomes[0];
    assert!(matches!(error, Some(CollectiveError::Aborted { .. })), "{error:?}");
    assert!(*took < Duration::from_secs(2), "took {took:?}");
}

/// Starts this test binary again as one member of a roster; `act` names what it does.
fn process(act: &str, port: u16, rank: u32, world: u32) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "one_member_as_a_process", "--ignored", "--nocapture"])
        .env("CONREC_TEST_MEMBER", format!("{act} {port} {rank} {world}"))
        .env("OMP_WAIT_POLICY", "PASSIVE")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn rosters_of_two_and_three_processes_keep_the_promises() {
    for world in [2, 3] {
        let server = Rendezvous::start().unwrap();
        let members: Vec<_> = (0..world).map(|rank| process("promises", server.port(), rank, world)).collect();
        for member in members {
            let output = member.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

#[test]
fn a_killed_process_is_noticed_and_the_survivors_form_a_new_roster() {
    let server = Rendezvous::start().unwrap();
    let port = server.port();
    let mut victim = process("wait", port, 2, 3);
    thread::scope(|scope| {
        let survivors = (0..2).map(|rank| {
            scope.spawn(move || {
                let member = formed(&membership(port, 1, rank, 3, EASY));
                let began = Instant::now();
                let error = member.all_reduce_sum(&mut [1; 4096]).unwrap_err();
                (error, began.elapsed())
            })
        });
        let survivors: Vec<_> = survivors.collect();
        let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("formed")), "the third process never formed the roster");
        thread::sleep(Duration::from_millis(100));
        victim.kill().unwrap();
        victim.wait().unwrap();
        for survivor in survivors {
            let (error, took) = survivor.join().unwrap();
            assert!(matches!(error, CollectiveError::PeerLost { .. }), "{error:?}");
            assert!(took < EASY / 2, "took {took:?}");
        }
    });
    roster(&server, 2, 2, |member| keeps_the_promises(&member));
}

#[test]
#[ignore = "a member for the tests with processes; started by them"]
fn one_member_as_a_process() {
    let Ok(text) = env::var("CONREC_TEST_MEMBER") else {
        return;
    };
    let words: Vec<_> = text.split(' ').collect();
    let (port, rank, world) = (words[1].parse().unwrap(), words[2].parse().unwrap(), words[3].parse().unwrap());
    let member = formed(&membership(port, 1, rank, world, EASY));
    println!("formed");
    match words[0] {
        "promises" => keeps_the_promises(&member),
        "measure" => measure(&member),
        _ => thread::sleep(EASY),
    }
}

fn measure(member: &Gloo) {
    for length in [131_072, 1_048_576] {
        let mut values = vec![1_i64; length];
        let mut times: Vec<_> = (0..40)
            .map(|_| {
                values.fill(1);
                member.barrier().unwrap();
                let began = Instant::now();
                member.all_reduce_sum(&mut values).unwrap();
                began.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!("rank {} of {}, {length} i64: median {:.2} ms", member.rank(), member.world(), times[20]);
    }
}

#[test]
#[ignore = "a measurement, not a check"]
fn time_of_an_all_reduce_between_two_processes() {
    let server = Rendezvous::start().unwrap();
    let members: Vec<_> = (0..2).map(|rank| process("measure", server.port(), rank, 2)).collect();
    for member in members {
        print!("{}", String::from_utf8_lossy(&member.wait_with_output().unwrap().stdout));
    }
}

/// Bytes that look random, the same each time.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn strangers_at_the_rendezvous_do_no_harm() {
    let server = Rendezvous::start().unwrap();
    assert!(server.address().ip().is_loopback());
    // What a member says first: a kind of 0 and the protocol's number. Then each kind of question, with nonsense after it.
    let greeting = [&[0][..], &0x3C85_F7CE_u32.to_ne_bytes()].concat();
    let mut strangers = Vec::new();
    for seed in 0..120_u64 {
        let mut stranger = TcpStream::connect(server.address()).unwrap();
        let noise = noise(seed, 64 + 40 * seed as usize);
        let bytes = match seed % 3 {
            0 => noise,
            1 => [&greeting[..], &[(seed / 3 % 20) as u8], &noise].concat(),
            _ => [&greeting[..], &[(seed / 3 % 20) as u8], &3_u64.to_ne_bytes(), &noise].concat(),
        };
        // It may be cut off in the middle.
        let _ = stranger.write_all(&bytes);
        strangers.push(stranger);
    }
    roster(&server, 7, 3, |member| keeps_the_promises(&member));
}

#[test]
fn a_roster_behind_gates_keeps_the_promises_among_strangers() {
    let site = tempfile::tempdir().unwrap();
    init(&Order { folder: site.path(), names: &[], now: SystemTime::now(), days: 1 }).unwrap();
    let (folder, runtime) = (site.path().join("worker"), tokio::runtime::Runtime::new().unwrap());
    let open = || runtime.block_on(MeetingPlace::open("127.0.0.1", Some(&folder), false)).unwrap();
    let places = [open(), open(), open()];
    let mut strangers = Vec::new();
    for (number, place) in (0..60_u64).zip(places.iter().cycle()) {
        let mut stranger = TcpStream::connect(&place.address).unwrap();
        if number % 2 == 0 {
            let _ = stranger.write_all(&noise(number, 600));
        }
        strangers.push(stranger);
    }
    let at = |rank: usize, deadline| Membership {
        rendezvous: places[0].address.clone(),
        fence: Fence(1),
        rank: rank as u32,
        world: 3,
        deadline,
    };
    thread::scope(|scope| {
        for (rank, place) in places.iter().enumerate() {
            let membership = at(rank, EASY);
            scope.spawn(move || {
                let member = Gloo::form_unless(&membership, &place.peers, &|| false).unwrap();
                keeps_the_promises(&member);
                member.barrier().unwrap();
            });
        }
    });
    let plain = Gloo::form_unless(&at(1, DEADLINE), &Peers::OnThisMachine, &|| false).err();
    assert!(plain.is_some(), "a member without a certificate reached the rendezvous");
}
