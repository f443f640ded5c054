//! Attributes of external addresses: files as they are published, valid, changed and broken.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flowproto::Address;
use kipfix_collector::inventory::external::{
    self, ExternalAttributes, ExternalId, ExternalSnapshot, ExternalSources, ExternalWatcher,
};
use kipfix_service::signals::Stop;
use mmdb_writer::{IpVersion, Value, Writer};
use tempfile::TempDir;

fn address(text: &str) -> Address {
    Address::from(text.parse::<std::net::IpAddr>().unwrap())
}

fn map(entries: &[(&str, Value)]) -> Value {
    Value::map(entries.iter().map(|(key, value)| (*key, value.clone())))
}

fn text(text: &str) -> Value {
    Value::from(text)
}

/// A database of these networks, as a file of `folder`.
fn database(folder: &TempDir, name: &str, networks: &[(&str, Value)]) -> PathBuf {
    let mut writer = Writer::new("Test");
    for (network, value) in networks {
        let network: ipnet::IpNet = network.parse().unwrap();
        writer.insert_value(network, value.clone()).unwrap();
    }
    file(folder, name, writer.to_bytes().unwrap())
}

fn file(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    path
}

fn system(number: u32, organisation: &str) -> Value {
    map(&[
        ("autonomous_system_number", Value::from(number)),
        ("autonomous_system_organization", text(organisation)),
    ])
}

/// A database with an autonomous system for 192.0.2.0/24.
fn systems(folder: &TempDir, number: u32, organisation: &str) -> PathBuf {
    let networks = [("192.0.2.0/24", system(number, organisation))];
    database(folder, "asn.mmdb", &networks)
}

fn country(code: &str) -> Value {
    let names = map(&[("en", text("Some country"))]);
    let country = map(&[("iso_code", text(code)), ("names", names)]);
    map(&[
        ("country", country.clone()),
        ("registered_country", country),
    ])
}

fn databases(paths: &[&PathBuf]) -> ExternalSources {
    ExternalSources {
        databases: paths.iter().map(|path| (*path).clone()).collect(),
        ..ExternalSources::default()
    }
}

fn clouds(paths: &[&PathBuf]) -> ExternalSources {
    ExternalSources {
        cloud_ranges: paths.iter().map(|path| (*path).clone()).collect(),
        ..ExternalSources::default()
    }
}

fn cidrs(texts: &[&str]) -> ExternalSources {
    ExternalSources {
        cidrs: texts.iter().map(|text| text.parse().unwrap()).collect(),
        ..ExternalSources::default()
    }
}

fn found<'a>(snapshot: &'a ExternalSnapshot, asked: &str) -> &'a ExternalAttributes {
    snapshot.attributes(snapshot.lookup(address(asked)))
}

fn in_cloud(snapshot: &ExternalSnapshot, asked: &str) -> String {
    let a = found(snapshot, asked);
    format!(
        "{} {} {}",
        a.cloud_provider, a.cloud_service, a.cloud_region
    )
}

fn system_and_country(snapshot: &ExternalSnapshot, asked: &str) -> String {
    let a = found(snapshot, asked);
    format!("{} {} {}", a.as_number, a.as_organisation, a.country)
}

fn error_message(files: &ExternalSources) -> String {
    external::load(files).unwrap_err().to_string()
}

#[test]
fn an_address_in_no_file_has_no_attributes() {
    let snapshot = external::load(&ExternalSources::default()).unwrap();
    for asked in ["192.0.2.1", "2001:db8::1", "::", "255.255.255.255"] {
        assert_eq!(snapshot.lookup(address(asked)), ExternalId::UNKNOWN);
    }
    assert_eq!(
        *found(&snapshot, "192.0.2.1"),
        ExternalAttributes::default()
    );
    assert_eq!(
        snapshot.attributes(ExternalId(u32::MAX)),
        &ExternalAttributes::default()
    );
}

#[test]
fn the_longest_named_cidr_around_an_address_names_it() {
    let snapshot = external::load(&cidrs(&[
        "10.0.0.0/8=wide",
        "10.1.0.0/16=narrow",
        "10.1.2.3/32=host",
        "2001:db8::/32=six",
        "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff/128=last",
        "255.255.255.0/24=end",
        "::ffff:192.0.2.0/120=mapped",
    ]))
    .unwrap();
    for (asked, name) in [
        ("10.2.0.1", "wide"),
        ("10.1.2.2", "narrow"),
        ("10.1.2.3", "host"),
        ("10.1.2.4", "narrow"),
        ("10.255.255.255", "wide"),
        ("11.0.0.0", ""),
        ("9.255.255.255", ""),
        ("2001:db8::1", "six"),
        ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "last"),
        ("2001:db9::", ""),
        ("255.255.255.255", "end"),
        ("192.0.2.7", "mapped"),
    ] {
        assert_eq!(&*found(&snapshot, asked).name, name, "{asked}");
    }
}

#[test]
fn one_cidr_with_two_names_is_refused_with_both() {
    let message = error_message(&cidrs(&["10.0.0.0/8=one", "10.1.0.0/8=two"]));
    for word in ["10.1.0.0/8", "one", "two"] {
        assert!(message.contains(word), "{message}");
    }
    assert!("10.0.0.0/8".parse::<external::NamedCidr>().is_err());
}

#[test]
fn systems_and_countries_are_read_in_the_layout_of_every_publisher() {
    let folder = TempDir::new().unwrap();
    let both = |a: Value, b: Value| match (a, b) {
        (Value::Map(mut a), Value::Map(b)) => {
            a.extend(b);
            Value::Map(a)
        }
        _ => unreachable!(),
    };
    let path = database(
        &folder,
        "all.mmdb",
        &[
            // GeoLite2, GeoIP2, DB-IP Lite.
            (
                "192.0.2.0/25",
                both(system(64500, "Example"), country("CH")),
            ),
            (
                "192.0.2.128/25",
                map(&[("registered_country", map(&[("iso_code", text("NL"))]))]),
            ),
            // GeoIP2 Enterprise, DB-IP ISP.
            (
                "198.51.100.0/24",
                map(&[(
                    "traits",
                    both(system(64501, "In traits"), map(&[("isp", text("x"))])),
                )]),
            ),
            // IPinfo Lite, its older country database, its ASN database.
            (
                "203.0.113.0/26",
                map(&[
                    ("asn", text("AS64502")),
                    ("as_name", text("Lite")),
                    ("country", text("Canada")),
                    ("country_code", text("CA")),
                ]),
            ),
            (
                "203.0.113.64/26",
                map(&[("country", text("jp")), ("country_name", text("Japan"))]),
            ),
            (
                "2001:db8::/32",
                map(&[("asn", text("AS64503")), ("name", text("Six"))]),
            ),
            // Values of another type are ignored without an error.
            (
                "203.0.113.128/26",
                map(&[
                    ("asn", Value::from(vec![text("AS1")])),
                    ("country", Value::from(1.5_f64)),
                    ("name", Value::from(true)),
                    ("as_name", Value::from(vec![1_u8])),
                    ("autonomous_system_number", Value::from(u128::MAX)),
                ]),
            ),
        ],
    );
    let snapshot = external::load(&databases(&[&path])).unwrap();
    for (asked, is) in [
        ("192.0.2.1", "64500 Example CH"),
        ("192.0.2.200", "0  NL"),
        ("198.51.100.9", "64501 In traits "),
        ("203.0.113.1", "64502 Lite CA"),
        ("203.0.113.65", "0  JP"),
        ("203.0.113.129", "0  "),
        ("2001:db8:1::1", "64503 Six "),
        ("2001:db9::", "0  "),
        ("192.0.1.255", "0  "),
        ("192.0.3.0", "0  "),
    ] {
        assert_eq!(system_and_country(&snapshot, asked), is, "{asked}");
    }
}

#[test]
fn system_and_country_come_from_the_first_database_that_has_them() {
    let folder = TempDir::new().unwrap();
    let asn = systems(&folder, 64500, "First");
    let second = database(
        &folder,
        "second.mmdb",
        &[
            ("192.0.2.0/25", country("CH")),
            ("198.51.100.0/24", system(64501, "Second")),
            ("192.0.2.128/25", system(64502, "Not believed")),
        ],
    );
    let snapshot = external::load(&databases(&[&asn, &second])).unwrap();
    assert_eq!(system_and_country(&snapshot, "192.0.2.1"), "64500 First CH");
    assert_eq!(system_and_country(&snapshot, "192.0.2.200"), "64500 First ");
    assert_eq!(
        system_and_country(&snapshot, "198.51.100.1"),
        "64501 Second "
    );
}

#[test]
fn an_ipv4_database_has_no_attributes_for_ipv6() {
    let folder = TempDir::new().unwrap();
    let mut writer = Writer::builder("V4").ip_version(IpVersion::V4).build();
    let network: ipnet::IpNet = "0.0.0.0/0".parse().unwrap();
    writer.insert_value(network, system(64500, "All")).unwrap();
    let path = file(&folder, "v4.mmdb", writer.to_bytes().unwrap());
    let snapshot = external::load(&databases(&[&path])).unwrap();
    assert_eq!(found(&snapshot, "255.255.255.255").as_number, 64500);
    assert_eq!(found(&snapshot, "2001:db8::1").as_number, 0);
}

const AWS: &str = r#"{
  "syncToken": "1700000000", "createDate": "2023-11-14-22-13-20",
  "prefixes": [
    {"ip_prefix": "192.0.2.0/24", "region": "eu-west-1", "service": "AMAZON", "network_border_group": "eu-west-1"},
    {"ip_prefix": "192.0.2.0/24", "region": "eu-west-1", "service": "S3", "network_border_group": "eu-west-1"},
    {"ip_prefix": "192.0.2.0/24", "region": "eu-west-1", "service": "EC2", "network_border_group": "eu-west-1"},
    {"ip_prefix": "198.51.100.0/24", "region": "us-east-1", "service": "EC2", "network_border_group": "us-east-1"},
    {"ip_prefix": "198.51.100.0/24", "region": "us-east-1", "service": "AMAZON", "network_border_group": "us-east-1"},
    {"ip_prefix": "198.51.100.128/25", "region": "us-east-1", "service": "AMAZON", "network_border_group": "us-east-1"},
    {"ip_prefix": "203.0.113.0/24", "region": "GLOBAL", "service": "AMAZON", "network_border_group": "GLOBAL"}
  ],
  "ipv6_prefixes": [
    {"ipv6_prefix": "2001:db8::/40", "region": "ap-south-1", "service": "AMAZON", "network_border_group": "ap-south-1"},
    {"ipv6_prefix": "2001:db8::/48", "region": "ap-south-1", "service": "ROUTE53", "network_border_group": "ap-south-1"}
  ]
}"#;

#[test]
fn aws_ranges_name_the_service_and_not_amazon() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "ip-ranges.json", AWS);
    let snapshot = external::load(&clouds(&[&path])).unwrap();
    for (asked, is) in [
        ("192.0.2.1", "aws S3 eu-west-1"),
        ("198.51.100.1", "aws EC2 us-east-1"),
        ("198.51.100.200", "aws EC2 us-east-1"),
        ("203.0.113.1", "aws AMAZON GLOBAL"),
        ("2001:db8::1", "aws ROUTE53 ap-south-1"),
        ("2001:db8:1::1", "aws AMAZON ap-south-1"),
        ("2001:db9::1", "  "),
    ] {
        assert_eq!(in_cloud(&snapshot, asked), is, "{asked}");
    }
}

#[test]
fn google_ranges_have_service_and_region_in_either_order_of_files() {
    let folder = TempDir::new().unwrap();
    let goog = file(
        &folder,
        "goog.json",
        r#"{"syncToken": "1", "creationTime": "2023-11-14T00:00:00",
            "prefixes": [{"ipv4Prefix": "192.0.2.0/24"}, {"ipv6Prefix": "2001:db8::/32"},
                         {"ipv4Prefix": "198.51.100.0/25"}]}"#,
    );
    let cloud = file(
        &folder,
        "cloud.json",
        r#"{"syncToken": "1", "creationTime": "2023-11-14T00:00:00", "prefixes": [
            {"ipv4Prefix": "198.51.100.0/24", "service": "Google Cloud", "scope": "us-east1"},
            {"ipv6Prefix": "2001:db8:1::/48", "service": "Google Cloud", "scope": "europe-west6"}]}"#,
    );
    for files in [clouds(&[&goog, &cloud]), clouds(&[&cloud, &goog])] {
        let snapshot = external::load(&files).unwrap();
        assert_eq!(in_cloud(&snapshot, "192.0.2.1"), "gcp Google ");
        assert_eq!(
            in_cloud(&snapshot, "198.51.100.1"),
            "gcp Google Cloud us-east1"
        );
        assert_eq!(
            in_cloud(&snapshot, "2001:db8:1::1"),
            "gcp Google Cloud europe-west6"
        );
        assert_eq!(in_cloud(&snapshot, "2001:db8:2::1"), "gcp Google ");
    }
}

#[test]
fn azure_tags_are_merged_to_service_and_region() {
    let folder = TempDir::new().unwrap();
    let tag = |name: &str, region: &str, service: &str, prefixes: &str| {
        format!(
            r#"{{"name": "{name}", "id": "{name}", "properties": {{"changeNumber": 1,
                "region": "{region}", "regionId": 0, "platform": "Azure",
                "systemService": "{service}", "addressPrefixes": [{prefixes}],
                "networkFeatures": null}}}}"#
        )
    };
    let tags = [
        tag(
            "Storage.WestEurope",
            "westeurope",
            "AzureStorage",
            r#""192.0.2.0/25""#,
        ),
        tag(
            "Storage",
            "",
            "AzureStorage",
            r#""192.0.2.0/25", "198.51.100.0/28""#,
        ),
        tag(
            "AzureCloud",
            "",
            "",
            r#""192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32""#,
        ),
        tag(
            "AzureCloud.westeurope",
            "westeurope",
            "",
            r#""192.0.2.0/24""#,
        ),
        tag("AzureCloud.eastus", "eastus", "", r#""198.51.100.0/24""#),
    ];
    let document = format!(
        r#"{{"changeNumber": 1, "cloud": "Public", "values": [{}]}}"#,
        tags.join(",")
    );
    let path = file(&folder, "ServiceTags_Public.json", document);
    let snapshot = external::load(&clouds(&[&path])).unwrap();
    for (asked, is) in [
        ("192.0.2.1", "azure AzureStorage westeurope"),
        ("192.0.2.200", "azure AzureCloud westeurope"),
        ("198.51.100.1", "azure AzureStorage eastus"),
        ("198.51.100.99", "azure AzureCloud eastus"),
        ("2001:db8::1", "azure AzureCloud "),
    ] {
        assert_eq!(in_cloud(&snapshot, asked), is, "{asked}");
    }
}

#[test]
fn all_attributes_of_an_address_are_merged_under_one_id() {
    let folder = TempDir::new().unwrap();
    let aws = file(&folder, "aws.json", AWS);
    let asn = systems(&folder, 64500, "Example");
    let files = ExternalSources {
        cidrs: vec!["192.0.2.0/28=bucket".parse().unwrap()],
        cloud_ranges: vec![aws],
        databases: vec![asn],
        ..ExternalSources::default()
    };
    let snapshot = external::load(&files).unwrap();
    let a = found(&snapshot, "192.0.2.1");
    assert_eq!(
        (&*a.name, a.as_number, &*a.cloud_service),
        ("bucket", 64500, "S3")
    );
    let (one, two) = (
        snapshot.lookup(address("192.0.2.1")),
        snapshot.lookup(address("192.0.2.2")),
    );
    assert_eq!(one, two);
    assert_ne!(one, snapshot.lookup(address("192.0.2.16")));
}

#[test]
fn combinations_beyond_the_limit_are_other_and_counted() {
    let folder = TempDir::new().unwrap();
    let path = database(
        &folder,
        "asn.mmdb",
        &[
            ("192.0.2.0/25", system(64500, "One")),
            ("192.0.2.128/25", system(64501, "Two")),
        ],
    );
    let files = ExternalSources {
        cidrs: vec!["203.0.113.0/24=office".parse().unwrap()],
        max_combinations: 4,
        ..databases(&[&path])
    };
    let snapshot = external::load(&files).unwrap();
    assert_eq!(snapshot.combinations(), 4);
    assert_eq!(snapshot.other_ranges(), 1);
    // A name in the file has precedence.
    assert_eq!(&*found(&snapshot, "203.0.113.1").name, "office");
    assert_eq!(found(&snapshot, "192.0.2.1").as_number, 64500);
    assert_eq!(snapshot.lookup(address("192.0.2.200")), ExternalId::OTHER);
    assert_eq!(&*found(&snapshot, "192.0.2.200").as_organisation, "other");
}

#[test]
fn a_changed_file_is_reloaded_and_ids_stay_valid() {
    let folder = TempDir::new().unwrap();
    let path = systems(&folder, 64500, "Before");
    let mut watch = ExternalWatcher::new(&databases(&[&path])).unwrap();
    let published = watch.published();
    let before = published.load().lookup(address("192.0.2.1"));
    assert!(!watch.poll());

    let networks = [
        ("192.0.2.0/24", system(64501, "After")),
        ("198.51.100.0/24", system(64500, "Before")),
    ];
    database(&folder, "new", &networks);
    fs::rename(folder.path().join("new"), &path).unwrap();
    assert!(watch.poll());
    let snapshot = published.load_full();
    assert_eq!(&*found(&snapshot, "192.0.2.1").as_organisation, "After");
    assert_eq!(&*snapshot.attributes(before).as_organisation, "Before");
    assert_eq!(snapshot.lookup(address("198.51.100.1")), before);
    let counts = published.counts();
    assert_eq!(
        (counts.reloads, counts.failures, counts.combinations),
        (1, 0, 4)
    );
}

#[test]
fn a_change_of_a_mounted_configmap_is_detected() {
    let folder = TempDir::new().unwrap();
    let place = |name: &str, cidr: &str| {
        let version = folder.path().join(name);
        fs::create_dir(&version).unwrap();
        let range = format!(r#"{{"prefixes": [{{"ipv4Prefix": "{cidr}"}}]}}"#);
        fs::write(version.join("goog.json"), range).unwrap();
    };
    let swap = |name: &str| {
        let new = folder.path().join("..data_tmp");
        std::os::unix::fs::symlink(name, &new).unwrap();
        fs::rename(new, folder.path().join("..data")).unwrap();
    };
    place("..1", "192.0.2.0/24");
    swap("..1");
    let path = folder.path().join("goog.json");
    std::os::unix::fs::symlink("..data/goog.json", &path).unwrap();
    let mut watch = ExternalWatcher::new(&clouds(&[&path])).unwrap();
    assert_eq!(
        in_cloud(&watch.published().load(), "192.0.2.1"),
        "gcp Google "
    );
    place("..2", "192.0.3.0/24");
    swap("..2");
    assert!(watch.poll());
    assert_eq!(in_cloud(&watch.published().load(), "192.0.2.1"), "  ");
    assert_eq!(
        in_cloud(&watch.published().load(), "192.0.3.1"),
        "gcp Google "
    );
}

#[test]
fn a_file_that_breaks_keeps_its_previous_content_and_others_still_reload() {
    let folder = TempDir::new().unwrap();
    let aws = file(&folder, "aws.json", AWS);
    let asn = systems(&folder, 64500, "Example");
    let files = ExternalSources {
        cloud_ranges: vec![aws.clone()],
        ..databases(&[&asn])
    };
    let mut watch = ExternalWatcher::new(&files).unwrap();
    let published = watch.published();

    fs::write(&aws, &AWS[..AWS.len() / 2]).unwrap();
    assert!(!watch.poll());
    assert!(!watch.poll(), "nothing changed since");
    assert_eq!(in_cloud(&published.load(), "192.0.2.1"), "aws S3 eu-west-1");
    let counts = published.counts();
    assert_eq!(
        (counts.failures, counts.broken_files, counts.reloads),
        (1, 1, 0)
    );

    systems(&folder, 64501, "Changed");
    fs::remove_file(&aws).unwrap();
    assert!(watch.poll());
    assert_eq!(in_cloud(&published.load(), "192.0.2.1"), "aws S3 eu-west-1");
    assert_eq!(found(&published.load(), "192.0.2.1").as_number, 64501);
    assert_eq!(published.counts().failures, 2);

    fs::write(&aws, AWS.replace("S3", "EBS")).unwrap();
    assert!(watch.poll());
    assert_eq!(
        in_cloud(&published.load(), "192.0.2.1"),
        "aws EBS eu-west-1"
    );
    let counts = published.counts();
    assert_eq!(
        (counts.failures, counts.broken_files, counts.reloads),
        (2, 0, 2)
    );
}

#[test]
fn the_watcher_thread_publishes_a_change_and_ends_at_the_stop() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "aws.json", AWS);
    let watch = ExternalWatcher::new(&clouds(&[&path])).unwrap();
    let published = watch.published();
    let stop = Stop::new().unwrap();
    let thread = std::thread::spawn({
        let stop = stop.clone();
        move || watch.run(Duration::from_millis(1), &stop)
    });
    fs::write(folder.path().join("new"), AWS.replace("S3", "EBS")).unwrap();
    fs::rename(folder.path().join("new"), &path).unwrap();
    for _ in 0..1000 {
        if published.counts().reloads > 0
            && in_cloud(&published.load(), "192.0.2.1").contains("EBS")
        {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    stop.set();
    thread.join().unwrap();
    assert_eq!(
        in_cloud(&published.load(), "192.0.2.1"),
        "aws EBS eu-west-1"
    );
}

/// Metadata and tree of a database, by hand.
fn by_hand(node_count: u32, tree: &[u8], data: &[u8]) -> Vec<u8> {
    let word = |out: &mut Vec<u8>, text: &str| {
        out.push(0x40 | u8::try_from(text.len()).unwrap());
        out.extend(text.bytes());
    };
    let mut out = tree.to_vec();
    out.extend([0; 16]);
    out.extend(data);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    out.push(0xe9);
    word(&mut out, "node_count");
    out.push(0xc4);
    out.extend(node_count.to_be_bytes());
    for (key, value) in [
        ("record_size", 24_u16),
        ("ip_version", 6),
        ("binary_format_major_version", 2),
        ("binary_format_minor_version", 0),
    ] {
        word(&mut out, key);
        out.push(0xa2);
        out.extend(value.to_be_bytes());
    }
    word(&mut out, "database_type");
    word(&mut out, "Hostile");
    word(&mut out, "description");
    out.push(0xe0);
    word(&mut out, "languages");
    out.extend([0x00, 0x04]);
    word(&mut out, "build_epoch");
    out.extend([0x01, 0x02, 1]);
    out
}

/// A node of a tree with records of 24 bits.
fn node(left: u32, right: u32) -> Vec<u8> {
    [left.to_be_bytes(), right.to_be_bytes()]
        .iter()
        .flat_map(|bytes| bytes[1..].to_vec())
        .collect()
}

#[test]
fn a_small_tree_with_endless_networks_is_refused() {
    let folder = TempDir::new().unwrap();
    // Both branches of every node lead to the next node: 2^100 networks, with and without data.
    for leaf in [100, 100 + 16] {
        let tree: Vec<u8> = (1..100)
            .flat_map(|next| node(next, next))
            .chain(node(leaf, leaf))
            .collect();
        let path = file(&folder, "tree.mmdb", by_hand(100, &tree, &[0xe0]));
        let message = error_message(&databases(&[&path]));
        assert!(message.contains("more than 808 networks"), "{message}");
    }
    // And one that leads in a circle.
    let path = file(&folder, "circle.mmdb", by_hand(1, &node(0, 0), &[0xe0]));
    assert!(error_message(&databases(&[&path])).contains("cycle"));
}

#[test]
fn a_damaged_database_is_refused_with_its_name_and_never_a_panic() {
    let folder = TempDir::new().unwrap();
    let good = database(
        &folder,
        "good.mmdb",
        &[
            ("192.0.2.0/24", system(64500, "Example")),
            ("2001:db8::/32", country("CH")),
        ],
    );
    let good = fs::read(good).unwrap();
    let refused = |content: &[u8]| {
        let path = file(&folder, "bad.mmdb", content);
        let message = error_message(&databases(&[&path]));
        assert!(
            message.contains("bad.mmdb: invalid MaxMind DB"),
            "{message}"
        );
    };
    refused(b"");
    refused(b"not a database at all");
    refused(&by_hand(u32::MAX, &[0; 6], &[]));
    refused(&by_hand(1, &node(17, 0xff_ffff), &[0xe0]));
    // A map of 16 million entries that are not there, and an endless pointer.
    refused(&by_hand(1, &node(17, 17), &[0xff, 0xff, 0xff, 0xff]));
    refused(&by_hand(1, &node(17, 17), &[0x20, 0x00]));
    // The metadata is at the end: every cut loses it.
    for at in (0..good.len()).step_by(7) {
        refused(&good[..at]);
    }
    // Any octet changed: another answer or a refusal.
    for at in 0..good.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            let path = file(&folder, "flipped.mmdb", &bad);
            drop(external::load(&databases(&[&path])));
        }
    }
}

#[test]
fn a_deeply_nested_record_is_refused_or_read() {
    let folder = TempDir::new().unwrap();
    // {"country": {"iso_code": {"iso_code": ...}}} and arrays in arrays.
    let mut nested = vec![0xe1, 0x47];
    nested.extend(b"country");
    for _ in 0..100_000 {
        nested.extend([0xe1, 0x48]);
        nested.extend(b"iso_code");
    }
    let mut arrays = vec![0xe1, 0x43];
    arrays.extend(b"asn");
    arrays.extend([0x01, 0x04].repeat(100_000));
    for data in [nested, arrays] {
        let path = file(&folder, "deep.mmdb", by_hand(1, &node(17, 17), &data));
        let message = error_message(&databases(&[&path]));
        assert!(
            message.contains("deep.mmdb: invalid MaxMind DB"),
            "{message}"
        );
    }
}

#[test]
fn a_database_of_another_type_is_refused_with_its_type() {
    let folder = TempDir::new().unwrap();
    let proxy = map(&[("is_anonymous", Value::from(true))]);
    let path = database(&folder, "anonymous.mmdb", &[("192.0.2.0/24", proxy)]);
    let message = error_message(&databases(&[&path]));
    assert!(message.contains("\"Test\" has neither"), "{message}");
}

#[test]
fn json_that_cannot_be_used_is_refused_with_the_reason() {
    let folder = TempDir::new().unwrap();
    let many = format!(r#"{{"prefixes": [{}{{}}]}}"#, "{},".repeat(1 << 18));
    let deep = format!(r#"{{"values": {}"#, "[".repeat(100_000));
    for (content, word) in [
        ("", "EOF"),
        ("[]", "invalid file of cloud ranges"),
        (r#"{"prefixes": [{"ip_prefix": "192.0.2.0/33"}]}"#, "line 1"),
        (r#"{"prefixes": [{"ip_prefix": 4}]}"#, "line 1"),
        (r#"{"values": [{"name": "x"}]}"#, "properties"),
        (r#"{"hello": "world"}"#, "no address ranges found"),
        (many.as_str(), "more than 262144 entries"),
        (deep.as_str(), "cloud.json"),
        (r#"{"prefixes": [{"x": "#, "EOF"),
    ] {
        let path = file(&folder, "cloud.json", content);
        let message = error_message(&clouds(&[&path]));
        assert!(
            message.contains("cloud.json: ") && message.contains(word),
            "{message}"
        );
    }
}

#[test]
fn a_file_that_is_not_regular_or_too_large_is_refused_without_reading_it() {
    let folder = TempDir::new().unwrap();
    let message = |path: &Path| error_message(&clouds(&[&path.to_owned()]));
    assert!(message(folder.path()).contains("not a regular file"));
    assert!(message(&folder.path().join("absent")).contains("cannot be read"));
    assert!(message(Path::new("/dev/zero")).contains("not a regular file"));
    let large = file(&folder, "large", "");
    fs::File::options()
        .write(true)
        .open(&large)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    assert!(message(&large).contains("maximum 33554432"));
}

#[test]
fn a_lookup_allocates_nothing() {
    let folder = TempDir::new().unwrap();
    let aws = file(&folder, "aws.json", AWS);
    let watch = ExternalWatcher::new(&clouds(&[&aws])).unwrap();
    let published = watch.published();
    let asked = [address("192.0.2.1"), address("2001:db8::1"), address("::1")];
    drop(published.load());
    let count = allocation_counter::measure(|| {
        let snapshot = published.load();
        for address in asked {
            std::hint::black_box(snapshot.attributes(snapshot.lookup(address)));
        }
    });
    assert_eq!(count.count_total, 0);
}
