//! The parameters of the URL of an engine.

use kipfix_export::url::{Login, LoginParameters, Parameter};
use kipfix_service::settings::{Size, Within, within};

use super::TransportSettings;

/// Default size of a queue.
const DEFAULT_QUEUE: Size = Size::mib(32);
/// Sizes of a queue.
const QUEUE_SIZES: Within<Size> = within(Size::mib(1), Size::gib(64));

/// The parameters that all engines have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::emit) struct Parameters {
    /// Maximum size of the queue.
    pub(in crate::emit) queue: Size,
    pub(in crate::emit) login: Option<Login>,
    pub(in crate::emit) transport: TransportSettings,
}

impl Parameters {
    /// Parses a query. `take` stores another parameter; it returns false if the name is unknown.
    /// `engine` is the name of the engine, for errors.
    pub(in crate::emit) fn parse(
        query: &str,
        engine: &str,
        mut take: impl FnMut(&Parameter<'_>) -> Result<bool, String>,
    ) -> Result<Self, String> {
        let mut parameters = Self {
            queue: DEFAULT_QUEUE,
            login: None,
            transport: TransportSettings::default(),
        };
        let mut login = LoginParameters::default();
        for parameter in Parameter::each_once(query)? {
            let transport = &mut parameters.transport;
            match parameter.name() {
                "queue" => parameters.queue = parameter.within(&QUEUE_SIZES)?,
                "tls" => transport.tls = parameter.flag()?,
                _ if transport.credentials.take(&parameter)? => {}
                _ if login.take(&parameter)? || take(&parameter)? => {}
                name => return Err(format!("unknown parameter {name:?} of a {engine} target")),
            }
        }
        parameters.login = login.login()?;
        let without_tls = (!parameters.transport.tls).then_some("tls=true");
        parameters.transport.credentials.check(without_tls)?;
        Ok(parameters)
    }
}
