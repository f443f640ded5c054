//! Labels of pods and namespaces that are kept.

use super::*;

fn labels(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}

/// The label `app` of the pod at an address.
fn app(cluster: &mut Scenario, address: &str) -> String {
    let (index, found) = cluster.found(address, 0, 10);
    let endpoint = index.endpoint(found.endpoint);
    let labels = endpoint.labels.as_ref();
    labels.map_or(String::new(), |labels| labels.get("app").to_owned())
}

fn team(cluster: &mut Scenario, namespace: &str) -> String {
    let index = cluster.index();
    let labels = index.namespace_labels(namespace);
    labels.map_or(String::new(), |labels| labels.get("team").to_owned())
}

#[test]
fn pods_with_the_same_labels_share_them_and_changes_are_followed() {
    let mut cluster = Scenario::new();
    cluster.at(1);
    cluster.changed(node("a", &["10.9.0.1"], &["10.1.0.0/24"]));
    let web = |name: &str, address: &str, app: &str| PodFields {
        labels: labels(&[("app", app), ("tier", "front")]),
        ..pod(name, &[address])
    };
    cluster.changed(web("web-1", "10.1.0.1", "web"));
    cluster.changed(web("web-2", "10.1.0.2", "web"));
    cluster.changed(pod("bare", &["10.1.0.3"]));
    assert_eq!(app(&mut cluster, "10.1.0.1"), "web");
    assert_eq!(app(&mut cluster, "10.1.0.3"), "");
    let index = cluster.index();
    let set = |address_text: &str| {
        let range = TimeRange::instant(time(10));
        let found = index.lookup(address(address_text), range);
        index.endpoint(found.endpoint).labels.clone()
    };
    let (one, other) = (set("10.1.0.1").unwrap(), set("10.1.0.2").unwrap());
    assert!(Arc::ptr_eq(&one, &other));
    assert_eq!(set("10.1.0.3"), None);
    cluster.changed(web("web-1", "10.1.0.1", "shop"));
    assert_eq!(app(&mut cluster, "10.1.0.1"), "shop");
    assert_eq!(app(&mut cluster, "10.1.0.2"), "web");
}

#[test]
fn namespaces_have_their_labels_until_they_are_deleted() {
    let mut cluster = Scenario::new();
    let namespace = |name: &str, team: &str| NamespaceFields {
        name: name.into(),
        group: String::new(),
        labels: match team {
            "" => Vec::new(),
            team => labels(&[("team", team)]),
        },
    };
    let change = |cluster: &mut Scenario, event| {
        cluster.apply(WatchUpdate::Namespace(event));
    };
    change(
        &mut cluster,
        WatchEvent::Changed(namespace("shop", "sales")),
    );
    change(
        &mut cluster,
        WatchEvent::Changed(namespace("lab", "research")),
    );
    assert_eq!(team(&mut cluster, "shop"), "sales");
    change(&mut cluster, WatchEvent::Changed(namespace("shop", "")));
    assert_eq!(team(&mut cluster, "shop"), "");
    change(
        &mut cluster,
        WatchEvent::Deleted(namespace("lab", "research")),
    );
    assert_eq!(team(&mut cluster, "lab"), "");
}
