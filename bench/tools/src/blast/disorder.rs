//! What may happen to a datagram on its way: loss, duplication, reordering.

use anyhow::Result;

use crate::outlet::Outlet;
use crate::random::Random;

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Sent,
    Lost,
    Duplicated,
    Delayed,
}

/// Loses, duplicates and delays a share of the datagrams each.
pub(crate) struct Disorder {
    share: f64,
    random: Random,
    delayed: Option<(usize, Vec<u8>)>,
}

impl Disorder {
    pub(crate) fn new(share: f64) -> Self {
        Self {
            share,
            random: Random::new(7),
            delayed: None,
        }
    }

    /// Passes a datagram on, or not.
    pub(crate) fn pass(
        &mut self,
        outlet: &mut Outlet,
        exporter: usize,
        datagram: &[u8],
    ) -> Result<Fate> {
        let draw = if self.share > 0.0 {
            self.random.unit() / self.share
        } else {
            f64::INFINITY
        };
        if draw < 1.0 {
            return Ok(Fate::Lost);
        }
        if (2.0..3.0).contains(&draw) && self.delayed.is_none() {
            self.delayed = Some((exporter, datagram.to_vec()));
            return Ok(Fate::Delayed);
        }
        outlet.send(exporter, datagram)?;
        let fate = if draw < 2.0 {
            outlet.send(exporter, datagram)?;
            Fate::Duplicated
        } else {
            Fate::Sent
        };
        self.release(outlet)?;
        Ok(fate)
    }

    /// Sends the delayed datagram, if there is one.
    pub(crate) fn release(&mut self, outlet: &mut Outlet) -> Result<()> {
        if let Some((exporter, datagram)) = self.delayed.take() {
            outlet.send(exporter, &datagram)?;
        }
        Ok(())
    }
}
