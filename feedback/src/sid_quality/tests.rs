//! Figures worked out by hand on six items, golden values of scikit-learn, and what chance must give.

use super::*;
use crate::dataset::Dataset;
use crate::event::{Event, Sign};
use crate::keyed_random::{below, shuffle_front, stream, uniform};
use proptest::prelude::*;

#[derive(serde::Deserialize)]
struct Case {
    first: Vec<u32>,
    second: Vec<u32>,
    ami: f64,
    ari: f64,
}

#[test]
fn agreement_of_partitions_equals_scikit_learn() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/golden/partitions.json")).unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let (ami, ari) =
            (adjusted_mutual_information(&case.first, &case.second), adjusted_rand_index(&case.first, &case.second));
        assert!((ami - case.ami).abs() < 1e-9, "{ami} instead of {}", case.ami);
        assert!((ari - case.ari).abs() < 1e-9, "{ari} instead of {}", case.ari);
    }
}

#[test]
fn names_of_parts_do_not_matter_and_extremes_are_defined() {
    let (a, renamed) = ([1, 1, 2, 2, 3], [9, 9, 4, 4, 0]);
    assert_eq!((adjusted_mutual_information(&a, &renamed), adjusted_rand_index(&a, &renamed)), (1.0, 1.0));
    let none: [u8; 0] = [];
    assert_eq!(adjusted_mutual_information(&none, &none), 1.0);
    // All apart against all together: no more in common than chance.
    assert_eq!(adjusted_mutual_information(&[1, 2, 3], &[1, 1, 1]), 0.0);
}

fn item(categories: &[&str]) -> Item {
    Item { categories: categories.iter().map(|c| (*c).to_owned()).collect(), ..Item::default() }
}

/// Items 0 1 2 lie together and 3 4 5; the first code says which, the second tells some apart.
fn six() -> (SemanticIds, Vec<Item>, Matrix) {
    let codes = vec![0, 0, 0, 0, 0, 1, 1, 0, 1, 1, 1, 2];
    let ids = SemanticIds::new(2, 4, codes, &[true; 6]).unwrap();
    let items = vec![item(&["x"]), item(&["x", "z"]), item(&["y"]), item(&["y"]), item(&["y"]), item(&[])];
    let vectors =
        Matrix { rows: 6, cols: 2, data: vec![1.0, 0.1, 1.0, 0.0, 1.0, -0.1, -1.0, 0.1, -1.0, 0.0, -1.0, -0.1] };
    (ids, items, vectors)
}

fn disliked(pairs: &[(u32, u32)]) -> Dataset {
    let event = |(time, (user, item)): (usize, &(u32, u32))| Event {
        user: *user,
        item: *item,
        time: time as i64,
        sign: Sign::Negative,
    };
    Dataset {
        events: pairs.iter().enumerate().map(event).collect(),
        users: vec![String::new(); 3],
        ..Dataset::default()
    }
}

#[test]
fn every_figure_of_six_items_is_the_one_worked_out_by_hand() {
    let (ids, items, vectors) = six();
    let mut dataset = disliked(&[(0, 0), (1, 3), (0, 1), (1, 2), (2, 5), (0, 1), (2, 4)]);
    dataset.items = items.clone();
    let training = TrainingTime::new(&dataset, 100);
    let candidates: Vec<u32> = (0..6).collect();
    let neighbours = nearest_neighbours(&vectors, &candidates, 6, 2);
    let evidence = Evidence { items: &items, vectors: &vectors, neighbours: &neighbours, training, seed: 1 };
    let quality = SidQuality::of(&ids, &evidence);
    let first = &quality.depths[0];
    assert_eq!((first.depth, first.prefixes, first.fan_out), (1, 2, FanOut { mean: 2.0, most: 2, forced: 0.0 }));
    // Within: each side has the offsets .1, 0, -.1 in one dimension; in all 6 + .04.
    assert!((first.variance_left.share - 0.04 / 6.04).abs() < 1e-6, "{:?}", first.variance_left);
    assert!((first.variance_left.by_chance - 0.8).abs() < 1e-12);
    // Both neighbours of every item lie on its side; by chance 2 of 5 would.
    assert_eq!(first.neighbours.share, 1.0);
    assert!((first.neighbours.by_chance - 0.4).abs() < 1e-12);
    // Items 0 1 2: x twice of 3; items 3 4: y; item 5 has no category. 4 of 5.
    let purity = first.purity.unwrap();
    assert_eq!((purity.share, purity.cases), (0.8, 5));
    // Pairs (0, 1), (3, 2) and (5, 4): item 1 again is passed over. Two of three on one side.
    let taste = first.taste.unwrap();
    assert_eq!((taste.share, taste.cases), (2.0 / 3.0, 3));
    // Other pairings: (0 2) (0 4) (3 1) (3 4) (5 1) (5 2): two on one side.
    assert!((taste.by_chance - 2.0 / 6.0).abs() < 1e-12, "{taste:?}");
    let second = &quality.depths[1];
    assert_eq!((second.prefixes, second.fan_out.mean, second.fan_out.most), (5, 2.5, 3));
    // Only items 0 and 1 share a cell: each is a neighbour of the other; of 12 neighbours 2.
    assert!((second.neighbours.share - 2.0 / 12.0).abs() < 1e-12);
    // Nearest two by id: of 0 and 1 one of the cell, then one of one other; of the others two of two.
    assert!((quality.overlap.share - 1.0).abs() < 1e-12, "{:?}", quality.overlap);
    assert!((quality.overlap.by_chance - 0.4).abs() < 1e-12);
    assert_eq!(quality.usage.cells, 5);
}

#[test]
fn nothing_is_said_where_there_is_nothing_to_say() {
    let (ids, _, vectors) = six();
    let items = vec![item(&[]); 6];
    let dataset = disliked(&[(0, 1), (1, 2)]);
    let neighbours = nearest_neighbours(&vectors, &[0, 1, 2, 3, 4, 5], 100, 2);
    let training = TrainingTime::new(&dataset, 100);
    let evidence = Evidence { items: &items, vectors: &vectors, neighbours: &neighbours, training, seed: 1 };
    let first = SidQuality::of(&ids, &evidence).depths[0];
    assert_eq!((first.purity, first.taste), (None, None));
}

#[test]
fn stability_is_one_for_the_same_groups_under_other_names() {
    let (ids, _, _) = six();
    let renamed: Vec<u16> = ids.of_item.iter().map(|code| 3 - code).collect();
    let renamed = SemanticIds::new(2, 4, renamed, &[true; 6]).unwrap();
    let items: Vec<u32> = (0..6).collect();
    for depth in stability(&ids, &renamed, &items) {
        assert_eq!((depth.adjusted_mutual_information, depth.adjusted_rand_index), (1.0, 1.0));
    }
    assert_eq!(same_prefix(&ids, &ids, &items), [1.0, 1.0]);
    assert_eq!(same_prefix(&ids, &renamed, &items), [0.0, 0.0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Ids dealt out at random score what the columns by chance say: a figure that is wrong about chance would flatter.
    #[test]
    fn shuffled_ids_score_what_chance_says(seed in 0u64..1000) {
        let mut rng = stream(seed, "test");
        let n = 400;
        let mut codes: Vec<[u16; 2]> = (0..n).map(|i| [i % 9, i % 5]).collect();
        shuffle_front(&mut rng, &mut codes, n as usize);
        let ids = SemanticIds::new(2, 9, codes.concat(), &vec![true; n as usize]).unwrap();
        let items: Vec<Item> = (0..n).map(|i| item(&[["p", "q", "r"][usize::from(i) % 3]])).collect();
        let data = (0..n as usize * 4).map(|_| uniform(&mut rng) as f32).collect();
        let vectors = Matrix { rows: n as usize, cols: 4, data };
        let events: Vec<(u32, u32)> =
            (0..3000).map(|_| (below(&mut rng, 3) as u32, below(&mut rng, n as usize) as u32)).collect();
        let dataset = disliked(&events);
        let candidates: Vec<u32> = (0..u32::from(n)).collect();
        let neighbours = nearest_neighbours(&vectors, &candidates, 400, 10);
        let training = TrainingTime::new(&dataset, 100_000);
        let evidence = Evidence { items: &items, vectors: &vectors, neighbours: &neighbours, training, seed };
        let quality = SidQuality::of(&ids, &evidence);
        let near = |found: Agreement, tolerance: f64| (found.share - found.by_chance).abs() < tolerance;
        prop_assert!(near(quality.overlap, 0.015), "{:?}", quality.overlap);
        for depth in &quality.depths {
            prop_assert!(near(depth.variance_left, 0.03), "{:?}", depth);
            prop_assert!(near(depth.neighbours, 0.03), "{:?}", depth);
            prop_assert!(near(depth.purity.unwrap(), 0.08), "{:?}", depth);
            prop_assert!(near(depth.taste.unwrap(), 0.03), "{:?}", depth);
        }
    }
}
