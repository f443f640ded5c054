//! The watches: one task a kind, from the API server into one bounded channel.
//!
//! A watch begins with a list, streamed where the server can, and goes on from its resourceVersion;
//! failures are tried again with a growing pause. A watch that the server forbids twice from the start is tried
//! once in [`FORBIDDEN_PAUSE`]. A watch that is silent may have nothing to tell, or may be broken: the server is
//! asked for one object then.

use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::Sender;
use tokio::time::timeout;

use super::fields::{
    EndpointSliceFields, LabelSelectors, NamespaceFields, Node, NodeFields, OwnerFields, Pod,
    PodFields, Service, ServiceFields, Slice,
};
use super::health::ResourceKind;

/// How long until what is forbidden is asked for again.
const FORBIDDEN_PAUSE: Duration = Duration::from_secs(10);
/// How long until what was refused once is asked for again. A server that has just started, or was just given
/// roles, refuses everything until it has read them: only who is refused again is forbidden.
const REFUSED_PAUSE: Duration = Duration::from_secs(2);

/// The pause after the first failure; each further one is twice as long, up to …
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// … this one.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// So long a watch may be silent before the server is asked: longer than any pause, so that a watch that
/// failed has been tried again, and has not failed again, where the server answers.
const SILENCE: Duration = Duration::from_secs(10);
/// A server that takes longer to tell one object is away.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What a watch says.
#[derive(Debug)]
pub(super) enum WatchEvent<T> {
    /// All objects follow.
    ListStart,
    /// One of all.
    Initial(T),
    /// These were all.
    ListEnd,
    /// One is new, or is not as it was.
    Changed(T),
    /// One has gone.
    Deleted(T),
}

/// What a watch of some kind says.
#[derive(Debug)]
pub(super) enum WatchUpdate {
    Node(WatchEvent<NodeFields>),
    Pod(WatchEvent<PodFields>),
    Service(WatchEvent<ServiceFields>),
    Slice(WatchEvent<EndpointSliceFields>),
    Namespace(WatchEvent<NamespaceFields>),
    Owner(ResourceKind, WatchEvent<OwnerFields>),
    /// The server answers, and there was nothing to tell.
    Idle(ResourceKind),
    Failed(ResourceKind, String, bool),
}

/// Starts the watches of these kinds. They end when the receiver has gone.
pub(super) fn start(
    client: &Client,
    kinds: &[ResourceKind],
    selectors: &Arc<LabelSelectors>,
    updates: &Sender<WatchUpdate>,
) {
    let watches = Watches { client, updates };
    for kind in kinds {
        let selectors = Arc::clone(selectors);
        match kind {
            ResourceKind::Nodes => watches.start(
                *kind,
                move |node: Node| node.fields(&selectors),
                WatchUpdate::Node,
            ),
            ResourceKind::Pods => watches.start(
                *kind,
                move |pod: Pod| pod.fields(&selectors),
                WatchUpdate::Pod,
            ),
            ResourceKind::Services => watches.start(*kind, Service::fields, WatchUpdate::Service),
            ResourceKind::EndpointSlices => watches.start(*kind, Slice::fields, WatchUpdate::Slice),
            ResourceKind::Namespaces => watches.start(
                *kind,
                move |of: PartialObjectMeta<Namespace>| {
                    NamespaceFields::of(of.metadata, &selectors)
                },
                WatchUpdate::Namespace,
            ),
            ResourceKind::ReplicaSets => watches.start(
                *kind,
                |owner: PartialObjectMeta<ReplicaSet>| OwnerFields::of(owner.metadata),
                |event| WatchUpdate::Owner(ResourceKind::ReplicaSets, event),
            ),
            ResourceKind::Jobs => watches.start(
                *kind,
                |owner: PartialObjectMeta<Job>| OwnerFields::of(owner.metadata),
                |event| WatchUpdate::Owner(ResourceKind::Jobs, event),
            ),
        }
    }
}

/// Where watches ask and tell.
struct Watches<'a> {
    client: &'a Client,
    updates: &'a Sender<WatchUpdate>,
}

impl Watches<'_> {
    /// Starts one. `fields`: what is kept of an object.
    fn start<K, T>(
        &self,
        kind: ResourceKind,
        fields: impl Fn(K) -> T + Send + 'static,
        update_of: impl Fn(WatchEvent<T>) -> WatchUpdate + Send + 'static,
    ) where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        T: Send + 'static,
    {
        let api = Api::all(self.client.clone());
        tokio::spawn(watch(kind, api, fields, update_of, self.updates.clone()));
    }
}

/// The pauses between attempts.
#[derive(Debug, Default)]
struct Pauses(u32);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.0));
        self.0 = self.0.saturating_add(1);
        Some(pause.min(LONGEST_PAUSE))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0 = 0;
    }
}

async fn watch<K, T>(
    kind: ResourceKind,
    api: Api<K>,
    fields: impl Fn(K) -> T,
    update_of: impl Fn(WatchEvent<T>) -> WatchUpdate,
    updates: Sender<WatchUpdate>,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut streaming = true;
    let mut refused = false;
    loop {
        let config = if streaming {
            watcher::Config::default().streaming_lists()
        } else {
            watcher::Config::default()
        };
        let mut events = pin!(watcher(api.clone(), config).backoff(Pauses::default()));
        let mut listed = false;
        let mut pause = None;
        loop {
            let event = match timeout(SILENCE, events.next()).await {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(_) => {
                    if updates.send(ask(kind, &api, listed).await).await.is_err() {
                        return;
                    }
                    continue;
                }
            };
            let said = match event {
                Ok(watcher::Event::Init) => update_of(WatchEvent::ListStart),
                Ok(watcher::Event::InitApply(object)) => {
                    update_of(WatchEvent::Initial(fields(object)))
                }
                Ok(watcher::Event::InitDone) => {
                    (listed, refused) = (true, false);
                    update_of(WatchEvent::ListEnd)
                }
                Ok(watcher::Event::Apply(object)) => update_of(WatchEvent::Changed(fields(object))),
                Ok(watcher::Event::Delete(object)) => {
                    update_of(WatchEvent::Deleted(fields(object)))
                }
                Err(error) => {
                    let code = code(&error);
                    // A server that cannot stream a list refuses it, or breaks it off.
                    if streaming
                        && !listed
                        && code.is_some_and(|code| !matches!(code, 401 | 403 | 429))
                    {
                        streaming = false;
                        break;
                    }
                    let refuses = code == Some(403) && !listed;
                    let forbidden = refuses && refused;
                    refused = refuses;
                    let next = if forbidden {
                        FORBIDDEN_PAUSE
                    } else {
                        REFUSED_PAUSE
                    };
                    pause = refuses.then_some(next);
                    WatchUpdate::Failed(kind, reasons(&error), forbidden)
                }
            };
            if updates.send(said).await.is_err() {
                return;
            }
            if pause.is_some() {
                break;
            }
        }
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
    }
}

/// Asks the server for one object of a kind.
async fn ask<K>(kind: ResourceKind, api: &Api<K>, listed: bool) -> WatchUpdate
where
    K: Clone + DeserializeOwned + Debug,
{
    let one = ListParams::default().limit(1);
    match timeout(ANSWER_WITHIN, api.list_metadata(&one)).await {
        Ok(Ok(_)) => WatchUpdate::Idle(kind),
        Ok(Err(error)) => {
            let forbidden = matches!(&error, kube::Error::Api(status) if status.code == 403);
            WatchUpdate::Failed(kind, reasons(&error), forbidden && !listed)
        }
        Err(_) => WatchUpdate::Failed(kind, "no answer in time".to_owned(), false),
    }
}

/// An error and what caused it, in one line.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(reason) = source {
        let more = reason.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = reason.source();
    }
    text
}

/// The status code of the server's answer, if it did answer.
fn code(error: &watcher::Error) -> Option<u16> {
    use watcher::Error::{
        InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed,
    };
    match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status))
        | WatchError(status) => Some(status.code),
        InitialListFailed(_) | WatchStartFailed(_) | WatchFailed(_) | NoResourceVersion => None,
    }
}
