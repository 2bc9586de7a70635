//! Settings that are read again while the service runs.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::floatup::{Service, http, until};

fn settings(folder: &Path, text: &str) {
    fs::write(folder.join("floatup.toml"), text).unwrap();
}

fn start(folder: &Path) -> Service {
    Service::start(folder, &["--config", "floatup.toml"])
}

/// The channel's settings as they are now.
fn now(service: &Service) -> Value {
    let (status, body) = http(&service.address, "GET", "/api/channels/demo", b"");
    assert_eq!(status, 200);
    serde_json::from_slice::<Value>(&body).unwrap()["settings"].clone()
}

/// How often settings were read again, by outcome.
fn reloads(service: &Service, outcome: &str) -> u64 {
    let (_, body) = http(&service.address, "GET", "/metrics", b"");
    let name = format!("floatup_settings_reloads_total{{outcome=\"{outcome}\"}} ");
    let text = String::from_utf8(body).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap().parse().unwrap()
}

#[test]
fn a_good_file_is_in_force_at_once() {
    let folder = tempfile::tempdir().unwrap();
    settings(
        folder.path(),
        "sprites_max = 10\nblock = [\"fire\"]\nquiet = true\n",
    );
    let service = start(folder.path());
    let change = json!({"opacity_max": 0.5, "overflow": "queue"}).to_string();
    let path = "/api/channels/demo";
    assert_eq!(
        http(&service.address, "PATCH", path, change.as_bytes()).0,
        200
    );
    assert_eq!(
        http(&service.address, "POST", &format!("{path}/pause"), b"").0,
        204
    );
    settings(
        folder.path(),
        "sprites_max = 20\nchannel_rate = 5\noverflow = \"aggregate\"\n",
    );
    service.signal("HUP");
    until("settings are taken", || reloads(&service, "taken") == 1);
    let now = now(&service);
    assert_eq!(now["sprites_max"], 20);
    assert_eq!(now["channel_rate"], 5.0);
    assert_eq!(now["overflow"], "aggregate");
    // Neither what the file has no longer, nor what was changed over HTTP.
    assert_eq!((&now["block"], &now["quiet"]), (&json!([]), &json!(false)));
    assert_eq!(now["opacity_max"], 1.0);
    let (_, body) = http(&service.address, "GET", path, b"");
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap()["paused"],
        true
    );
    let (code, log) = service.stop();
    assert!(code.success(), "{log}");
    assert!(log.contains("the settings are taken anew"), "{log}");
    assert!(!log.contains("restart"), "{log}");
}

#[test]
fn a_bad_file_changes_nothing_and_is_said() {
    let folder = tempfile::tempdir().unwrap();
    settings(folder.path(), "sprites_max = 10\n");
    let service = start(folder.path());
    let before = now(&service);
    let bad = [
        "sprites_max = 20\n\nopacity_max = 7\nnonsense = 1\n",
        "sprites_max = 20\n[[channel]\n",
        "sprites_max = 20\nallow = [\"nobody\"]\n",
    ];
    for (count, text) in (1..).zip(bad) {
        settings(folder.path(), text);
        service.signal("HUP");
        until("settings are refused", || {
            reloads(&service, "refused") == count
        });
        assert_eq!(now(&service), before, "{text}");
    }
    fs::remove_file(folder.path().join("floatup.toml")).unwrap();
    service.signal("HUP");
    until("settings are refused", || reloads(&service, "refused") == 4);
    // And a good one is taken as ever.
    settings(folder.path(), "sprites_max = 30\n");
    service.signal("HUP");
    until("settings are taken", || reloads(&service, "taken") == 1);
    assert_eq!(now(&service)["sprites_max"], 30);
    let (code, log) = service.stop();
    assert!(code.success(), "{log}");
    for said in [
        "the settings stay as they are: ",
        "floatup.toml:3: opacity_max: ",
        "floatup.toml:4: nonsense: ",
        "floatup.toml:2: ",
        "allow: ",
    ] {
        assert!(log.contains(said), "{said}: {log}");
    }
}

#[test]
fn what_needs_a_restart_is_named() {
    let folder = tempfile::tempdir().unwrap();
    settings(folder.path(), "sprites_max = 10\n");
    let service = start(folder.path());
    let other = "sprites_max = 20\ngap_cure = false\nsize = \"320x180\"\n[[source]]\nfrom = \"twitch:somebody\"\n";
    settings(folder.path(), other);
    service.signal("HUP");
    until("settings are taken", || reloads(&service, "taken") == 1);
    assert_eq!(now(&service)["sprites_max"], 20);
    let (code, log) = service.stop();
    assert!(code.success(), "{log}");
    let line = log.lines().find(|line| line.contains("needs a restart"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    for name in [
        "gap_cure",
        "a channel's topic, picture or palette",
        "source",
    ] {
        assert!(line.contains(name), "{line}");
    }
    assert!(
        !line.contains("listen") && !line.contains("output"),
        "{line}"
    );
}
