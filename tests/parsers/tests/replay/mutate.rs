//! Seeded changes of inputs, as a fuzzer makes them, and the same in every run.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What parsers stumble over.
const TOKENS: [&str; 22] = [
    "-1",
    "0",
    "4294967295",
    "18446744073709551615",
    "9223372036854775807",
    "-9223372036854775808",
    "1e999",
    "1e-999",
    "NaN",
    "inf",
    "null",
    "true",
    "[]",
    "{}",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "\"",
    "\\u0000",
    "\u{fffd}",
    "::",
    "../",
    "=",
    "\n",
];

/// Changes inputs.
pub struct Mutator(ChaCha8Rng);

impl Mutator {
    /// Each name has its own changes.
    pub fn new(name: &str) -> Self {
        let seed = name.bytes().fold(17, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// One of the inputs with up to four changes.
    pub fn mutate(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = inputs[self.below(inputs.len())].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes, inputs);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, inputs: &[Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        let to = (at + self.below(24)).min(bytes.len());
        match self.below(7) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << (self.0.next_u32() % 8);
                }
            }
            1 => drop(bytes.drain(at..to)),
            2 => bytes.truncate(at),
            3 => {
                let token = TOKENS[self.below(TOKENS.len())];
                drop(bytes.splice(at..to, token.bytes()));
            }
            4 => {
                let again = bytes[at..to].repeat(1 + self.below(40));
                drop(bytes.splice(at..at, again));
            }
            5 => {
                let other = &inputs[self.below(inputs.len())];
                let from = self.below(other.len() + 1);
                let end = (from + self.below(200)).min(other.len());
                drop(bytes.splice(at..to, other[from..end].iter().copied()));
            }
            _ => self.number(bytes),
        }
    }

    /// Puts another number in the place of one.
    fn number(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len() + 1);
        let Some(from) = bytes[at..].iter().position(u8::is_ascii_digit).map(|found| at + found) else {
            return;
        };
        let to = bytes[from..].iter().position(|byte| !byte.is_ascii_digit()).map_or(bytes.len(), |found| from + found);
        let token = TOKENS[self.below(9)];
        drop(bytes.splice(from..to, token.bytes()));
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.0.next_u64() % bound as u64) as usize
    }
}
