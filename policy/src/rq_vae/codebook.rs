//! One level's codewords, moved by exponential moving averages (van den Oord et al., 2017, appendix A.1).

use super::k_means::{Points, k_means};
use crate::random_normal::shuffle_front;
use conrec_feedback::matrix::Matrix;
use rand_chacha::ChaCha8Rng;
use tch::{Kind, TchError, Tensor};

/// Rounds of k-means for the first codewords; what follows moves them on.
const LLOYD_ROUNDS: usize = 10;

/// Below this moving count a codeword stays where it is: the quotient of two vanishing numbers says nothing.
const LEAST_COUNT: f64 = 1e-6;

/// Decay and the rule for dead codes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Movement {
    /// Share of the old average that is kept at each update.
    pub decay: f64,
    /// A code whose moving count falls below this is set to an encoding of the update.
    pub dead_below: f64,
}

/// K codewords with their moving counts and sums.
pub(super) struct Codebook {
    /// `[codes, latent]`.
    pub table: Tensor,
    counts: Vec<f64>,
    sums: Vec<f64>,
    codewords: Vec<f32>,
    width: usize,
}

/// Index of the nearest row of `table` `[codes, width]` for every row of `rows` `[n, width]`: one GEMM.
/// `|r|^2` is the same for all codes and left out.
pub(crate) fn nearest(rows: &Tensor, table: &Tensor) -> Result<Tensor, TchError> {
    let norms = table.f_square()?.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?;
    norms.f_addmm(rows, &table.f_mul_scalar(-2.0)?.f_transpose(0, 1)?)?.f_argmin(1, false)
}

impl Codebook {
    /// Codewords by k-means over `points`; counts as one optimiser step of `step_items` items would see them.
    pub fn by_k_means(
        points: Points<'_>,
        codes: usize,
        step_items: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self, TchError> {
        let (codewords, members) = k_means(points, (codes, LLOYD_ROUNDS), rng)?;
        let scale = step_items as f64 / points.rows().max(1) as f64;
        let counts: Vec<f64> = members.iter().map(|n| f64::from(*n) * scale).collect();
        let width = points.width;
        let sums = codewords.iter().enumerate().map(|(j, c)| f64::from(*c) * counts[j / width]).collect();
        let table = to_table(&codewords, width)?;
        Ok(Self { table, counts, sums, codewords, width })
    }

    /// Codewords that move no more.
    pub fn fixed(codewords: &Matrix) -> Result<Self, TchError> {
        let (width, codewords) = (codewords.cols, codewords.data.clone());
        let table = to_table(&codewords, width)?;
        Ok(Self { table, counts: Vec::new(), sums: Vec::new(), codewords, width })
    }

    /// Moves the codewords towards the residuals that chose them; returns the number of dead codes set anew.
    pub fn update(
        &mut self,
        residuals: Points<'_>,
        chosen: &[i64],
        movement: Movement,
        rng: &mut ChaCha8Rng,
    ) -> Result<u32, TchError> {
        for value in self.counts.iter_mut().chain(&mut self.sums) {
            *value *= movement.decay;
        }
        let share = 1.0 - movement.decay;
        for (i, code) in chosen.iter().enumerate() {
            let code = *code as usize;
            self.counts[code] += share;
            let sums = &mut self.sums[code * self.width..(code + 1) * self.width];
            for (sum, value) in sums.iter_mut().zip(residuals.row(i)) {
                *sum += share * f64::from(*value);
            }
        }
        let revived = self.revive(residuals, movement.dead_below, rng);
        for (j, codeword) in self.codewords.iter_mut().enumerate() {
            let count = self.counts[j / self.width];
            if count > LEAST_COUNT {
                *codeword = (self.sums[j] / count) as f32;
            }
        }
        self.table = to_table(&self.codewords, self.width)?;
        Ok(revived)
    }

    /// Sets dead codes to distinct residuals drawn at random, with a count of 1.
    fn revive(&mut self, residuals: Points<'_>, dead_below: f64, rng: &mut ChaCha8Rng) -> u32 {
        let dead: Vec<usize> = (0..self.counts.len()).filter(|code| self.counts[*code] < dead_below).collect();
        if dead.is_empty() {
            return 0;
        }
        let mut rows: Vec<usize> = (0..residuals.rows()).collect();
        shuffle_front(rng, &mut rows, dead.len());
        let mut revived = 0;
        for (code, row) in dead.iter().zip(rows) {
            self.counts[*code] = 1.0;
            let sums = &mut self.sums[code * self.width..(code + 1) * self.width];
            for (sum, value) in sums.iter_mut().zip(residuals.row(row)) {
                *sum = f64::from(*value);
            }
            revived += 1;
        }
        revived
    }

    /// The codewords, `codes * latent` values, row by row.
    pub fn codewords(&self) -> &[f32] {
        &self.codewords
    }
}

fn to_table(codewords: &[f32], width: usize) -> Result<Tensor, TchError> {
    Tensor::f_from_slice(codewords)?.f_reshape([-1, width as i64])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random_normal::stream;

    #[test]
    fn moving_average_follows_its_recursion() {
        let points = Points { data: &[0.0, 10.0], width: 1 };
        let mut book = Codebook::by_k_means(points, 2, 2, &mut stream(1, "book")).unwrap();
        let mut start = book.codewords().to_vec();
        start.sort_by(f32::total_cmp);
        assert_eq!(start, [0.0, 10.0]);
        let low = i64::from(book.codewords()[0] != 0.0);
        let movement = Movement { decay: 0.5, dead_below: 0.0 };
        let seen = Points { data: &[1.0, 3.0, 12.0], width: 1 };
        let revived = book.update(seen, &[low, low, 1 - low], movement, &mut stream(1, "dead")).unwrap();
        assert_eq!(revived, 0);
        // Low code: count .5*1 + .5*2 = 1.5, sum .5*0 + .5*(1+3) = 2. High code: count 1, sum .5*10 + .5*12 = 11.
        assert!((book.codewords()[low as usize] - 2.0 / 1.5).abs() < 1e-6);
        assert!((book.codewords()[1 - low as usize] - 11.0).abs() < 1e-6);
    }

    #[test]
    fn dead_code_moves_to_an_encoding() {
        let points = Points { data: &[0.0, 0.1, 10.0, 10.1], width: 1 };
        let mut book = Codebook::by_k_means(points, 2, 4, &mut stream(1, "book")).unwrap();
        let movement = Movement { decay: 0.5, dead_below: 0.2 };
        let alive = i64::from(book.codewords()[0] > 5.0);
        let seen = Points { data: &[0.5, 0.25, 0.75], width: 1 };
        let mut revived = 0;
        for _ in 0..6 {
            revived += book.update(seen, &[alive; 3], movement, &mut stream(1, "dead")).unwrap();
        }
        assert!(revived >= 1);
        assert!(book.codewords().iter().all(|c| *c < 1.0), "{:?}", book.codewords());
    }

    #[test]
    fn more_dead_codes_than_encodings_revive_what_there_is() {
        let points = Points { data: &[0.0, 1.0, 2.0, 3.0], width: 1 };
        let mut book = Codebook::by_k_means(points, 4, 4, &mut stream(1, "book")).unwrap();
        let movement = Movement { decay: 0.1, dead_below: 5.0 };
        let revived = book.update(Points { data: &[7.0], width: 1 }, &[0], movement, &mut stream(2, "dead")).unwrap();
        assert_eq!(revived, 1);
    }
}
