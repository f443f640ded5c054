//! The value of a metric, for both encoders.

/// The type of a metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A counter.
    Counter,
    /// A gauge.
    Gauge,
    /// A summary.
    Summary,
    /// A family of unknown type.
    Untyped,
    /// A histogram.
    Histogram,
}

/// The value of a metric.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// A counter, a gauge or an untyped metric that is an integer.
    Integer(u64),
    /// The same with a fraction, or negative.
    Float(f64),
    /// A summary.
    Summary(&'a Summary<'a>),
    /// A histogram.
    Histogram(&'a Histogram<'a>),
}

/// A summary.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary<'a> {
    /// Number of observations.
    pub count: u64,
    /// Sum of the observations.
    pub sum: f64,
    /// Quantiles and their values.
    pub quantiles: &'a [(f64, f64)],
}

/// A histogram with classic buckets, and native ones if it has them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Histogram<'a> {
    /// Number of observations.
    pub count: u64,
    /// Sum of the observations.
    pub sum: f64,
    /// Buckets by their upper bound, in ascending order. The bucket `+Inf` is added.
    pub buckets: &'a [Bucket],
    /// Native buckets.
    pub native: Option<NativeBuckets<'a>>,
}

/// A classic bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Upper bound, inclusive.
    pub upper_bound: f64,
    /// Number of observations up to the bound.
    pub cumulative_count: u64,
}

/// The buckets of a native histogram, whose bounds are the powers of 2^(2^-schema).
#[derive(Clone, Copy, Debug)]
pub struct NativeBuckets<'a> {
    /// Resolution, -4–8.
    pub schema: i32,
    /// Observations up to this value are in the zero bucket.
    pub zero_threshold: f64,
    /// Number of observations in the zero bucket.
    pub zero_count: u64,
    /// Buckets that have observations, by their index in ascending order: an index and the number
    /// of observations.
    pub positive: &'a [(i32, u64)],
}
