//! Tests of the generator: what comes out is what was asked for.

use super::*;
use crate::event::Sign;
use std::collections::BTreeMap;

fn small() -> SyntheticSpec {
    SyntheticSpec { users: 300, items: 800, regions: 40, days: 60, exposures_per_day: 3.0, ..SyntheticSpec::default() }
}

/// Whether the user dislikes the item's region at the time of the event.
fn in_disliked_region(data: &Dataset, event: &Event) -> bool {
    let truth = data.truth.as_ref().unwrap();
    let holds = |d: &&DislikedRegion| d.user == event.user && d.from <= event.time && event.time < d.to;
    let region = truth.region_of_item[event.item as usize];
    truth.disliked.iter().filter(holds).any(|d| Some(d.region) == region)
}

fn share(data: &Dataset, of: impl Fn(&Event) -> bool, among: impl Fn(&Event) -> bool) -> f64 {
    let among: Vec<&Event> = data.events.iter().filter(|e| among(e)).collect();
    assert!(among.len() > 500, "only {} events to measure on", among.len());
    among.iter().filter(|e| of(e)).count() as f64 / among.len() as f64
}

#[test]
fn the_shape_is_what_was_asked_for() {
    let spec = small();
    let data = generate(&spec, 1).unwrap();
    assert_eq!((data.users.len(), data.items.len()), (300, 800));
    let vectors = data.vectors.as_ref().unwrap();
    assert_eq!((vectors.rows, vectors.cols), (800, 32));
    let exposures = data.events.len() as f64 / (300.0 * 60.0);
    assert!((exposures - 3.0).abs() < 0.06, "{exposures}");
    assert!(data.events.windows(2).all(|w| w[0].order() <= w[1].order()));
    assert!(data.events.iter().all(|e| e.time >= START && e.time < START + 60 * DAY));
    let neutral = data.items.iter().filter(|item| item.categories == ["neutral"]).count();
    assert!((50..110).contains(&neutral), "{neutral} of 80 neutral items");
}

#[test]
fn reactions_come_at_the_rates_asked_for() {
    let data = generate(&small(), 2).unwrap();
    let negative = |e: &Event| e.sign == Sign::Negative;
    let dislikes = share(&data, negative, |e| in_disliked_region(&data, e));
    assert!((dislikes - 0.5).abs() < 0.03, "{dislikes}");
    let noise = share(&data, negative, |e| !in_disliked_region(&data, e));
    assert!((noise - 0.01).abs() < 0.003, "{noise}");
    // 4 of 7 own regions are liked: of the personal half of exposures that are not disliked, nearly all; the others
    // hit a liked region by chance, 0.9 * 4 / 40.
    let liked = share(&data, |e| e.sign == Sign::Positive, |_| true);
    assert!((0.08..0.13).contains(&liked), "{liked}");
}

#[test]
fn negatives_concentrate_in_the_disliked_regions() {
    let data = generate(&small(), 3).unwrap();
    let inside = share(&data, |e| in_disliked_region(&data, e), |e| e.sign == Sign::Negative);
    let by_chance = 0.9 * 3.0 / 40.0;
    assert!(inside > 10.0 * by_chance, "{inside} against {by_chance} by chance");
}

#[test]
fn disliked_regions_drift_at_the_rate_asked_for() {
    let data = generate(&SyntheticSpec { drift_rate: 0.05, ..small() }, 4).unwrap();
    let disliked = &data.truth.as_ref().unwrap().disliked;
    let moves = disliked.len() as f64 - 300.0 * 3.0;
    let expected = 0.05 * 59.0 * 300.0;
    assert!((moves / expected - 1.0).abs() < 0.12, "{moves} moves, expected {expected}");
    let now = START + 30 * DAY;
    for user in 0..300 {
        let regions: Vec<u32> =
            disliked.iter().filter(|d| d.user == user && d.from <= now && now < d.to).map(|d| d.region).collect();
        let mut distinct = regions.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!((regions.len(), distinct.len()), (3, 3), "user {user}");
    }
}

/// Share of a user's exposures that fall, within `days` after a dislike in a region, into that region.
fn shown_again(data: &Dataset, days: i64) -> f64 {
    let truth = data.truth.as_ref().unwrap();
    let region = |e: &Event| truth.region_of_item[e.item as usize];
    let mut by_user: BTreeMap<u32, Vec<&Event>> = BTreeMap::new();
    for event in &data.events {
        by_user.entry(event.user).or_default().push(event);
    }
    let (mut same, mut all) = (0.0, 0.0);
    for events in by_user.values() {
        for (at, event) in events.iter().enumerate().filter(|(_, e)| e.sign == Sign::Negative && region(e).is_some()) {
            let soon = events[at + 1..].iter().take_while(|e| e.time < event.time + days * DAY);
            for next in soon {
                all += 1.0;
                same += f64::from(u8::from(region(next) == region(event)));
            }
        }
    }
    same / all
}

#[test]
fn a_region_is_shown_less_after_a_dislike() {
    let with = shown_again(&generate(&SyntheticSpec { filter_days: 2, ..small() }, 5).unwrap(), 2);
    let without = shown_again(&generate(&SyntheticSpec { filter_days: 0, ..small() }, 5).unwrap(), 2);
    assert!(with < without / 4.0, "{with} with the filter, {without} without");
}

#[test]
fn a_disliked_item_is_never_shown_again() {
    let data = generate(&SyntheticSpec { items: 120, ..small() }, 6).unwrap();
    let mut disliked = std::collections::BTreeSet::new();
    for event in &data.events {
        assert!(!disliked.contains(&(event.user, event.item)), "{event:?}");
        if event.sign == Sign::Negative {
            disliked.insert((event.user, event.item));
        }
    }
}

#[test]
fn popularity_concentrates_exposures() {
    let top_share = |popularity| {
        let data = generate(&SyntheticSpec { popularity, personal: 0.0, ..small() }, 7).unwrap();
        let mut counts = vec![0usize; 800];
        data.events.iter().for_each(|e| counts[e.item as usize] += 1);
        counts.sort_unstable_by(|a, b| b.cmp(a));
        counts[..40].iter().sum::<usize>() as f64 / data.events.len() as f64
    };
    let (even, steep) = (top_share(0.0), top_share(1.5));
    // 5 % of the items: little more than 5 % of exposures when even, most of them when steep.
    assert!(even < 0.08 && steep > 0.6, "{even} {steep}");
}

#[test]
fn personal_taste_brings_exposures_to_own_regions() {
    let inside = |personal| {
        let data = generate(&SyntheticSpec { personal, ..small() }, 8).unwrap();
        share(&data, |e| in_disliked_region(&data, e), |_| true)
    };
    let (none, strong) = (inside(0.0), inside(0.9));
    assert!(none < 0.08 && strong > 0.2, "{none} {strong}");
}

#[test]
fn items_lie_nearer_to_their_own_region() {
    let data = generate(&small(), 9).unwrap();
    let (vectors, truth) = (data.vectors.as_ref().unwrap(), data.truth.as_ref().unwrap());
    let dot = |a: usize, b: usize| vectors.row(a).iter().zip(vectors.row(b)).map(|(x, y)| x * y).sum::<f32>();
    assert!((0..800).all(|i| (dot(i, i) - 1.0).abs() < 1e-5));
    let (mut same, mut other) = (Vec::new(), Vec::new());
    for a in 0..200 {
        for b in 0..a {
            if let (Some(x), Some(y)) = (truth.region_of_item[a], truth.region_of_item[b]) {
                if x == y { same.push(dot(a, b)) } else { other.push(dot(a, b)) }
            }
        }
    }
    let mean = |v: &[f32]| v.iter().sum::<f32>() / v.len() as f32;
    // Two items of a region: cosine about 1 / (1 + 0.35^2) = 0.89; of two regions: about 0.
    assert!((mean(&same) - 0.89).abs() < 0.03 && mean(&other).abs() < 0.1, "{} {}", mean(&same), mean(&other));
}

#[test]
fn the_same_seed_gives_the_same_data_and_another_seed_other_data() {
    let (a, b, c) = (generate(&small(), 10), generate(&small(), 10), generate(&small(), 11));
    assert_eq!(a, b);
    assert_ne!(a.unwrap().events, c.unwrap().events);
}

#[test]
fn a_user_does_not_depend_on_the_number_of_users() {
    let few = generate(&SyntheticSpec { users: 5, ..small() }, 12).unwrap();
    let many = generate(&SyntheticSpec { users: 50, ..small() }, 12).unwrap();
    let kept: Vec<Event> = many.events.into_iter().filter(|e| e.user < 5).collect();
    assert_eq!(few.events, kept);
}

#[test]
fn what_cannot_be_made_is_refused() {
    let error = |spec: SyntheticSpec| generate(&spec, 0).unwrap_err().to_string();
    assert_eq!(error(SyntheticSpec { users: 0, ..small() }), "data.synthetic.users = 0: expected at least 1");
    let message = error(SyntheticSpec { regions: 7, ..small() });
    assert!(message.contains("regions = 7") && message.contains("= 7, so"), "{message}");
}

/// SHA-256 over all that a dataset of the generator holds.
fn digest_of(data: &Dataset) -> String {
    let mut bytes = Vec::new();
    for e in &data.events {
        bytes.extend(format!("{} {} {} {:?}\n", e.user, e.item, e.time, e.sign).into_bytes());
    }
    let truth = data.truth.as_ref().unwrap();
    bytes.extend(
        format!("{:?}\n{:?}\n{:?}\n{:?}", truth.region_of_item, truth.disliked, data.items, data.users).into_bytes(),
    );
    bytes.extend(data.vectors.as_ref().unwrap().data.iter().flat_map(|v| v.to_bits().to_le_bytes()));
    conrec_domain::ids::Digest::of(&bytes).to_string()
}

/// The values were made by the generator's first version, which kept each user whole in memory: runs on synthetic data
/// keep their bits.
#[test]
fn the_bits_are_those_of_the_first_version() {
    let steep = SyntheticSpec { drift_rate: 0.2, filter_days: 3, popularity: 1.0, personal: 0.9, ..small() };
    let golden = [
        "5cff5060bf653d3e0fdf4f1677b105760460a49a8dce2cb871bde335025376e7",
        "92f768c74295d5cad49826191579defd97e6c06793293804dc8e5405f1629fdb",
    ];
    for ((spec, seed), golden) in [(small(), 1), (steep, 7)].into_iter().zip(golden) {
        assert_eq!(digest_of(&generate(&spec, seed).unwrap()), golden);
    }
}

/// All events and all that was disliked, in blocks of so many days.
fn in_blocks(generator: &Generator, days: u32) -> (Vec<Vec<Event>>, Vec<DislikedRegion>) {
    let mut stream = generator.in_time_order();
    stream.days_a_block = days;
    let blocks = stream.by_ref().collect();
    (blocks, stream.disliked())
}

#[test]
fn blocks_of_any_length_make_the_same_stream_in_time_order() {
    let generator = Generator::new(&SyntheticSpec { drift_rate: 0.1, ..small() }, 13).unwrap();
    let (whole, truth) = in_blocks(&generator, 60);
    assert_eq!(whole.len(), 1);
    for days in [1, 7, 59] {
        let (blocks, same) = in_blocks(&generator, days);
        assert_eq!(blocks.len(), 60_usize.div_ceil(days as usize));
        assert!(blocks.concat() == whole[0] && same == truth, "{days} days a block");
    }
}

#[test]
fn user_by_user_the_events_are_the_same() {
    let generator = Generator::new(&SyntheticSpec { users: 5000, days: 10, drift_rate: 0.1, ..small() }, 14).unwrap();
    let (in_time, truth) = in_blocks(&generator, 10);
    let (events, disliked): (Vec<_>, Vec<_>) = generator.by_user().unzip();
    assert_eq!(events.len(), 2, "two blocks of users");
    let mut events = events.concat();
    assert!(events.is_sorted_by_key(|e| (e.user, e.time)));
    events.sort_by_key(Event::order);
    assert!(events == in_time.concat() && disliked.concat() == truth);
}

#[test]
fn without_neutral_events_the_reactions_stay_what_they_were() {
    let all = generate(&small(), 15).unwrap();
    let reactions = generate(&SyntheticSpec { neutral_events: false, ..small() }, 15).unwrap();
    let kept: Vec<Event> = all.events.into_iter().filter(|e| e.sign != Sign::Neutral).collect();
    assert!(reactions.events == kept && !kept.is_empty());
}

#[test]
fn the_filters_strength_is_what_was_asked_for() {
    let shown = |filtered_rate| {
        shown_again(&generate(&SyntheticSpec { filter_days: 2, filtered_rate, ..small() }, 16).unwrap(), 2)
    };
    let (none, half, all) = (shown(0.0), shown(0.5), shown(1.0));
    assert!(none == 0.0 && 0.3 * all < half && half < 0.8 * all, "{none} {half} {all}");
}
