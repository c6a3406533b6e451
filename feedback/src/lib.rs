//! The rating side of conrec: events, splits, semantic IDs, baselines and metrics.
//!
//! No tensors and no network here. Read the modules in the order below: the types come first, then
//! the readers, the split into instances, the statistics learnt from training time, what the model
//! sees (semantic IDs, prompts, rewards), and last the measurement.

// The types.
pub mod compact_lists;
pub mod dataset;
pub mod event;
mod held_decoder;
pub mod history;
pub mod keyed_random;
pub mod matrix;
pub mod plain_file;

// Where events come from.
pub mod dataset_builder;
pub mod key_table;
pub mod malformed;
pub mod prepared;
pub mod readers;
pub mod synthetic;
pub mod synthetic_files;

// From events to instances.
pub mod bursts;
pub mod candidates;
pub mod instance;
pub mod numpy_random;
pub mod split;
pub mod window_advice;

// Statistics of training time.
pub mod swing;
pub mod training_time;

// What the model sees.
pub mod advantage;
pub mod alignment;
pub mod cell_means;
pub mod cell_ranking;
pub mod collisions;
pub mod prefix_trie;
pub mod prompt;
pub mod reward;
pub mod reward_shape;
pub mod semantic_id;
pub mod sid_control;
pub mod sid_files;
pub mod translation;

// Content and interaction vectors.
pub mod content_vectors;
pub mod interaction_features;
pub mod sparse_rows;
pub mod tf_idf;
pub mod truncated_svd;
pub mod vector_files;
pub mod vectorizer;

// Baselines: each a function from an instance to scores over items.
pub mod baseline_tuning;
pub mod baselines;
pub mod cell_popularity;
pub mod dislike_rate;
pub mod item_knn;
pub mod item_scores;
pub mod popularity;
pub mod popularity_mix;
pub mod rocchio;
pub mod top_items;

// Measurement.
pub mod bootstrap;
pub mod cell_evaluation;
pub mod evaluation;
pub mod filter_curve;
pub mod interest_coverage;
pub mod linear_probe;
pub mod metrics;
pub mod moment;
pub mod outcomes;
pub mod over_seeds;
pub mod predict_sets;
pub mod principal_plane;
pub mod provenance;
pub mod report_order;
pub mod sid_quality;
pub mod true_regions;

#[cfg(test)]
mod sample_window;
