//! The watches: one task for each kind, which sends updates to one bounded channel.
//!
//! A watch starts with a list, streamed if the server supports it, and continues from its
//! resourceVersion. Failures are retried with a growing delay. If the server denies the first
//! request twice, the watch is retried at [`FORBIDDEN_RETRY_DELAY`]. An idle watch may be broken,
//! so the server is asked for one object after [`IDLE_TIMEOUT`].

use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::core::{ApiResource, PartialObjectMeta, Status};
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::Sender;
use tokio::time::timeout;

use super::fields::{
    CiliumNodeFields, EgressFields, EndpointSlice, NamespaceFields, Node, OwnerFields, Pod,
    ResourceClaimFields, Service,
};
use super::resource_kind::ResourceKind;
use super::selectors::LabelSelectors;
use super::update::{WatchEvent, WatchFailure, WatchUpdate};

/// Delay before a watch that is forbidden is retried.
const FORBIDDEN_RETRY_DELAY: Duration = Duration::from_secs(10);
/// Delay before a watch that was refused once is retried. A server that has just started refuses
/// all requests until it has loaded its roles.
const REFUSED_RETRY_DELAY: Duration = Duration::from_secs(2);
/// Delay before a kind that the cluster does not have is retried. It may be installed later.
const ABSENT_RETRY_DELAY: Duration = Duration::from_secs(60);
/// Delay after the first failure. Doubled for each further one, up to [`MAX_RETRY_DELAY`].
const FIRST_RETRY_DELAY: Duration = Duration::from_millis(500);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(8);
/// Time without an event before the server is asked for one object. Longer than any retry delay, so
/// that a failed watch has been retried by then.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time for the answer with one object.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Starts the watches of these kinds. They end when the receiver is dropped.
pub(super) fn start(
    client: &Client,
    kinds: &[ResourceKind],
    selectors: &Arc<LabelSelectors>,
    updates: &Sender<WatchUpdate>,
) {
    let watches = Watches { client, updates };
    for kind in kinds.iter().copied() {
        let selectors = Arc::clone(selectors);
        match kind {
            ResourceKind::Nodes => watches.start(kind, move |event| {
                WatchUpdate::Node(event.map(|node: Node| node.fields(&selectors)))
            }),
            ResourceKind::Pods => watches.start(kind, move |event| {
                WatchUpdate::Pod(event.map(|pod: Pod| pod.fields(&selectors)))
            }),
            ResourceKind::Services => watches.start(kind, |event| {
                WatchUpdate::Service(event.map(Service::fields))
            }),
            ResourceKind::EndpointSlices => watches.start(kind, |event| {
                WatchUpdate::EndpointSlice(event.map(EndpointSlice::fields))
            }),
            ResourceKind::Namespaces => watches.start(kind, move |event| {
                WatchUpdate::Namespace(event.map(|object: PartialObjectMeta<Namespace>| {
                    NamespaceFields::of(object.metadata, &selectors)
                }))
            }),
            ResourceKind::ReplicaSets => watches.start(kind, move |event| {
                let owner =
                    |object: PartialObjectMeta<ReplicaSet>| OwnerFields::of(object.metadata);
                WatchUpdate::Owner(kind, event.map(owner))
            }),
            ResourceKind::Jobs => watches.start(kind, move |event| {
                let owner = |object: PartialObjectMeta<Job>| OwnerFields::of(object.metadata);
                WatchUpdate::Owner(kind, event.map(owner))
            }),
            ResourceKind::CiliumNodes => {
                watches.start_optional(kind, &CiliumNodeFields::resources(), |event| {
                    WatchUpdate::CiliumNode(event.map(CiliumNodeFields::of))
                });
            }
            ResourceKind::EgressIps => {
                watches.start_optional(kind, &EgressFields::ovn_resources(), move |event| {
                    WatchUpdate::Egress(kind, event.map(EgressFields::of_ovn))
                });
            }
            ResourceKind::Egresses => {
                watches.start_optional(kind, &EgressFields::antrea_resources(), move |event| {
                    WatchUpdate::Egress(kind, event.map(EgressFields::of_antrea))
                });
            }
            ResourceKind::ResourceClaims => {
                watches.start_optional(kind, &ResourceClaimFields::resources(), |event| {
                    WatchUpdate::ResourceClaim(event.map(ResourceClaimFields::of))
                });
            }
        }
    }
}

/// What the watches have in common.
struct Watches<'a> {
    client: &'a Client,
    updates: &'a Sender<WatchUpdate>,
}

impl Watches<'_> {
    /// Starts the watch of a kind that every cluster has. `update_of` reads the fields of an
    /// object.
    fn start<K>(
        &self,
        kind: ResourceKind,
        update_of: impl Fn(WatchEvent<K>) -> WatchUpdate + Send + Sync + 'static,
    ) where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let versions = vec![Api::all(self.client.clone())];
        self.spawn(kind, versions, update_of);
    }

    /// Starts the watch of a kind that not every cluster has, in the first of several API versions
    /// that the cluster serves.
    fn start_optional<K>(
        &self,
        kind: ResourceKind,
        versions: &[ApiResource],
        update_of: impl Fn(WatchEvent<K>) -> WatchUpdate + Send + Sync + 'static,
    ) where
        K: Resource<DynamicType = ApiResource>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + Sync
            + 'static,
    {
        let versions = versions.iter();
        let versions = versions.map(|version| Api::all_with(self.client.clone(), version));
        self.spawn(kind, versions.collect(), update_of);
    }

    fn spawn<K>(
        &self,
        kind: ResourceKind,
        versions: Vec<Api<K>>,
        update_of: impl Fn(WatchEvent<K>) -> WatchUpdate + Send + Sync + 'static,
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let updates = self.updates.clone();
        tokio::spawn(async move {
            let mut attempt = Attempt::default();
            // Ends when the receiver is dropped.
            while let Some(next) = versions.get(attempt.version) {
                match watch(kind, next, &mut attempt, &update_of, &updates).await {
                    None => break,
                    Some(Outcome::Retry(delay)) => tokio::time::sleep(delay).await,
                    Some(Outcome::NotFound) if attempt.version + 1 < versions.len() => {
                        attempt.version += 1;
                    }
                    Some(Outcome::NotFound) => {
                        attempt = Attempt::default();
                        if updates.send(WatchUpdate::Absent(kind)).await.is_err() {
                            break;
                        }
                        tokio::time::sleep(ABSENT_RETRY_DELAY).await;
                    }
                }
            }
        });
    }
}

/// State of the attempts to start a watch.
#[derive(Debug, Default)]
struct Attempt {
    /// The API version that is tried.
    version: usize,
    /// The server does not support streaming lists.
    without_streaming: bool,
    /// The server refused the previous attempt.
    refused: bool,
}

impl Attempt {
    /// What an error of the watch means. `code` is that of the server's answer, if there was one.
    ///
    /// # Errors
    /// The watch must be started in another way. The kind has not failed.
    fn failure_of(
        &mut self,
        kind: ResourceKind,
        code: Option<u16>,
        is_listed: bool,
    ) -> Result<WatchFailure, Outcome> {
        if !is_listed && kind.is_optional() && code == Some(404) {
            return Err(Outcome::NotFound);
        }
        // A server without streaming lists refuses them, or breaks them off.
        let may_lack_streaming = code.is_some_and(|code| !matches!(code, 401 | 403 | 429));
        if !is_listed && !self.without_streaming && may_lack_streaming {
            self.without_streaming = true;
            return Err(Outcome::Retry(Duration::ZERO));
        }
        let is_refused = code == Some(403) && !is_listed;
        let was_refused = std::mem::replace(&mut self.refused, is_refused);
        Ok(match (is_refused, was_refused) {
            (false, _) => WatchFailure::Unavailable,
            (true, false) => WatchFailure::Refused,
            (true, true) => WatchFailure::Forbidden,
        })
    }
}

/// Why a watch ended.
#[derive(Debug)]
enum Outcome {
    /// It must be started again after a delay.
    Retry(Duration),
    /// The server does not have the kind in this version.
    NotFound,
}

/// The delays between attempts of an established watch.
#[derive(Debug, Default)]
struct RetryDelays(u32);

impl Iterator for RetryDelays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let delay = FIRST_RETRY_DELAY.saturating_mul(2_u32.saturating_pow(self.0));
        self.0 = self.0.saturating_add(1);
        Some(delay.min(MAX_RETRY_DELAY))
    }
}

impl Backoff for RetryDelays {
    fn reset(&mut self) {
        self.0 = 0;
    }
}

/// Watches a kind until the watch must be started in another way. Returns `None` when the receiver
/// is dropped.
async fn watch<K>(
    kind: ResourceKind,
    api: &Api<K>,
    attempt: &mut Attempt,
    update_of: &impl Fn(WatchEvent<K>) -> WatchUpdate,
    updates: &Sender<WatchUpdate>,
) -> Option<Outcome>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = watcher::Config::default();
    let config = if attempt.without_streaming {
        config
    } else {
        config.streaming_lists()
    };
    let mut events = pin!(watcher(api.clone(), config).backoff(RetryDelays::default()));
    let mut is_listed = false;
    loop {
        let error = match timeout(IDLE_TIMEOUT, events.next()).await {
            Ok(Some(Ok(event))) => {
                if matches!(event, watcher::Event::InitDone) {
                    is_listed = true;
                    attempt.refused = false;
                }
                updates.send(update_of(event.into())).await.ok()?;
                continue;
            }
            Ok(Some(Err(error))) => error,
            Ok(None) => return Some(Outcome::Retry(Duration::ZERO)),
            Err(_) => {
                let update = check_server(kind, api, is_listed).await;
                updates.send(update).await.ok()?;
                continue;
            }
        };
        let answer = answer(&error);
        let code = answer.map(|status| status.code);
        let failure = match attempt.failure_of(kind, code, is_listed) {
            Ok(failure) => failure,
            Err(outcome) => return Some(outcome),
        };
        let error = answer.map_or_else(|| error_message(&error), status_message);
        let update = WatchUpdate::Failed {
            kind,
            error,
            failure,
        };
        updates.send(update).await.ok()?;
        match failure {
            WatchFailure::Unavailable => {}
            WatchFailure::Refused => return Some(Outcome::Retry(REFUSED_RETRY_DELAY)),
            WatchFailure::Forbidden => return Some(Outcome::Retry(FORBIDDEN_RETRY_DELAY)),
        }
    }
}

/// Asks the server for one object of a kind.
async fn check_server<K>(kind: ResourceKind, api: &Api<K>, is_listed: bool) -> WatchUpdate
where
    K: Clone + DeserializeOwned + Debug,
{
    let one = ListParams::default().limit(1);
    let (error, failure) = match timeout(ANSWER_TIMEOUT, api.list_metadata(&one)).await {
        Ok(Ok(_)) => return WatchUpdate::Idle(kind),
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
            if is_listed {
                // A role with `watch` and without `list`: the server answers.
                return WatchUpdate::Idle(kind);
            }
            (status_message(&status), WatchFailure::Forbidden)
        }
        Ok(Err(kube::Error::Api(status))) => (status_message(&status), WatchFailure::Unavailable),
        Ok(Err(error)) => (error_message(&error), WatchFailure::Unavailable),
        Err(_) => ("no answer in time".to_owned(), WatchFailure::Unavailable),
    };
    WatchUpdate::Failed {
        kind,
        error,
        failure,
    }
}

/// Returns an error and its causes in one line.
fn error_message(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
    text
}

/// Returns the message and the status code of an answer of the server.
fn status_message(status: &Status) -> String {
    format!("{} (status {})", status.message, status.code)
}

/// Returns the server's answer, if there was one.
fn answer(error: &watcher::Error) -> Option<&Status> {
    use watcher::Error::{
        InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed,
    };
    match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status))
        | WatchError(status) => Some(status),
        InitialListFailed(_) | WatchStartFailed(_) | WatchFailed(_) | NoResourceVersion => None,
    }
}
