//! Parameters of the stages, from the effective settings.

use std::num::NonZeroUsize;

use kipfix_service::settings::{BadSettings, Span};

use super::{Learning, Settings};
use crate::cache::CacheSettings;
use crate::decode::DecoderSettings;
use crate::decode::tunnel_ports::TunnelPorts;
use crate::inspect::InspectorSettings;
use crate::pipeline::PipelineSettings;
use crate::translation::TranslationSource;

/// Live, the clock advances ten times per second. A longer gap means that the wall clock was set.
const LONGEST_GAP_LIVE: Span = Span::from_secs(10);
/// Packets of a savefile may be far apart. A gap of more than a day is taken for a wrong time.
const LONGEST_GAP_OFFLINE: Span = Span::from_secs(86_400);

impl Settings {
    /// Number of metering threads. A savefile is metered by one, in the order of its packets.
    #[must_use]
    pub fn threads(&self) -> usize {
        match self.capture.read {
            Some(_) => 1,
            None => self.metering.threads.get(),
        }
    }

    /// Parameters of the decoder of a metering thread.
    ///
    /// # Errors
    /// The tunnel ports contradict each other.
    pub fn decoder(&self) -> Result<DecoderSettings, BadSettings> {
        let max_fragments = self.metering.max_fragments.get().div_ceil(self.threads());
        Ok(DecoderSettings {
            max_fragments: NonZeroUsize::new(max_fragments).unwrap_or(NonZeroUsize::MIN),
            tunnel_ports: TunnelPorts::new(&self.metering.tunnel_port)?,
            is_before_offload: self.capture.read.is_some(),
        })
    }

    /// Parameters of the pipeline of a metering thread. `has_first_packets`: first packets have a capture of their own.
    ///
    /// # Errors
    /// The tunnel ports contradict each other.
    pub fn pipeline(&self, has_first_packets: bool) -> Result<PipelineSettings, BadSettings> {
        Ok(PipelineSettings {
            decoder: self.decoder()?,
            inspector: InspectorSettings {
                dns: self.metering.dns_metering,
                http: self.metering.http_metering,
            },
            cache: self.cache(has_first_packets),
        })
    }

    fn translation_source(&self, has_first_packets: bool) -> TranslationSource {
        if self.metering.conntrack {
            TranslationSource::Conntrack
        } else if self.metering.translations == Learning::Off {
            TranslationSource::Off
        } else if has_first_packets {
            TranslationSource::FirstPackets
        } else {
            TranslationSource::Frames
        }
    }

    fn cache(&self, has_first_packets: bool) -> CacheSettings {
        let threads = u32::try_from(self.threads()).unwrap_or(u32::MAX);
        let nanoseconds =
            |span: Span| u64::try_from(span.duration().as_nanos()).unwrap_or(u64::MAX);
        CacheSettings {
            max_conversations: self.metering.max_flows.get().div_ceil(threads),
            idle_timeout_ns: nanoseconds(self.metering.idle_timeout),
            active_timeout_ns: nanoseconds(self.metering.active_timeout),
            connection_timeout_ns: nanoseconds(self.metering.connection_timeout),
            longest_gap_ns: nanoseconds(if self.capture.read.is_some() {
                LONGEST_GAP_OFFLINE
            } else {
                LONGEST_GAP_LIVE
            }),
            packet_correction: self.metering.packet_correction,
            tcp_health: self.metering.tcp_health,
            has_interfaces: self.capture.read.is_none(),
            biflow: self.metering.biflow,
            sampling: self.metering.sampling,
            translations: self.translation_source(has_first_packets),
            max_names: (self.metering.names == Learning::Auto).then_some(self.metering.max_names),
        }
    }
}
