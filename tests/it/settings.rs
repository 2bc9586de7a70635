//! Settings: the three layers, each bad value's message, and the example file.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use floatup::config::file::check;
use floatup::config::{self, Command, ConfigError, LookSettings, Pipe, Serve};
use floatup::frame::Alpha;
use floatup::matte::{Colour, Matte};
use floatup::output::{Codec, Container, Form, Policy, Target};
use floatup::pixel::SimdLevel;
use floatup::planes::VideoFormat;
use floatup::stage::{Limits, Overflow};

use crate::floatup::{floatup, stderr};
use crate::tree::read;

/// Settings from a command line, an environment and a file's text.
pub(crate) fn command(
    args: &[&str],
    env: &[(&str, &str)],
    file: Option<&str>,
) -> Result<Command, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("floatup.toml");
    let mut env: HashMap<String, OsString> = env
        .iter()
        .map(|&(name, value)| (name.into(), value.into()))
        .collect();
    if let Some(text) = file {
        std::fs::write(&path, text).unwrap();
        env.insert("FLOATUP_CONFIG".into(), path.into());
    }
    let args = ["floatup"].iter().chain(args).map(OsString::from);
    config::command(args, |name| env.get(name).cloned())
}

fn serve(args: &[&str], env: &[(&str, &str)], file: &str) -> Serve {
    match command(args, env, Some(file)) {
        Ok(Command::Serve(serve)) => *serve,
        other => panic!("{args:?} {env:?} {file:?}: {other:?}"),
    }
}

fn pipe(args: &[&str], env: &[(&str, &str)], file: &str) -> Pipe {
    let args = [&["pipe"], args].concat();
    match command(&args, env, Some(file)) {
        Ok(Command::Pipe(pipe)) => pipe,
        other => panic!("{args:?} {env:?} {file:?}: {other:?}"),
    }
}

/// The message of settings that are refused holds each of `parts`.
pub(crate) fn check_refused(
    args: &[&str],
    env: &[(&str, &str)],
    file: Option<&str>,
    parts: &[&str],
) {
    let message = match command(args, env, file) {
        Ok(command) => panic!("{args:?} {env:?} {file:?}: {command:?}"),
        Err(error) => error.to_string(),
    };
    for part in parts {
        assert!(
            message.contains(part),
            "{args:?} {env:?} {file:?}\nlacks {part:?}: {message}"
        );
    }
}

/// The mistakes of a file's text are these lines, in this order, each as a beginning.
fn check_mistakes(text: &str, expected: &[&str]) {
    let got: Vec<String> = check(text).iter().map(ToString::to_string).collect();
    assert_eq!(got.len(), expected.len(), "{text}\n{got:#?}");
    for (got, expected) in got.iter().zip(expected) {
        assert!(got.starts_with(expected), "{text}\n{got}\n{expected}");
    }
}

#[test]
fn no_settings_are_the_documented_defaults() {
    let serve = serve(&[], &[], "");
    assert_eq!(serve.listen.to_string(), "127.0.0.1:8787");
    assert_eq!(serve.signing_key, None);
    assert!(!serve.require_token);
    assert_eq!(serve.caches, None);
    assert!(serve.gap_cure);
    assert_eq!(serve.poll_hold, Duration::from_secs(25));
    assert_eq!((serve.ring_items, serve.topics_max), (1_000, 1_000));
    assert_eq!(serve.ring_age, Duration::from_secs(60));
    assert_eq!(serve.topic_idle, Duration::from_secs(600));
    assert_eq!(serve.outputs, []);
    let [channel] = &serve.channels[..] else {
        panic!("{:?}", serve.channels)
    };
    let names = (&channel.name[..], &channel.cache[..], &channel.topic[..]);
    assert_eq!(names, ("demo", "video", "demo"));
    let picture = &channel.picture;
    assert_eq!(picture.size.to_string(), "1920x1080");
    assert_eq!(picture.rate.to_string(), "60");
    assert_eq!(&picture.look, &LookSettings::default());
    assert_eq!((picture.seed, picture.limits.sprites_max), (0, 1_000));
    assert_eq!(picture.alpha, Alpha::Straight);
    assert!((1..=4).contains(&picture.threads));
    assert_eq!(picture.simd, SimdLevel::detect());
    assert_eq!(picture.limits.overflow, Overflow::RetireOldest);
    assert_eq!(*picture.palette, floatup::reaction::Palette::default());
    let without_file = command(&[], &[], None).unwrap();
    assert_eq!(without_file, Command::Serve(Box::new(serve)));
}

#[test]
fn flags_beat_environment_beats_file() {
    let file = "ring_items = 1\nring_seconds = 1\ntopics_max = 1\nsize = '1x1'\nfps = 1\nseed = 1";
    let env = [
        ("FLOATUP_RING_SECONDS", "2"),
        ("FLOATUP_TOPICS_MAX", "2"),
        ("FLOATUP_FPS", "2"),
        ("FLOATUP_SEED", "2"),
    ];
    let got = serve(&["--topics-max", "3", "--seed=3"], &env, file);
    assert_eq!(got.ring_items, 1);
    assert_eq!(got.ring_age, Duration::from_secs(2));
    assert_eq!(got.topics_max, 3);
    let picture = &got.channels[0].picture;
    assert_eq!(picture.size.to_string(), "1x1");
    assert_eq!(picture.rate.to_string(), "2");
    assert_eq!(picture.seed, 3);
}

#[test]
fn a_video_mode_stands_for_size_rate_and_scan() {
    let told = |args: &[&str], file: &str| {
        let picture = serve(args, &[], file).channels[0].picture.clone();
        format!("{} {} {}", picture.size, picture.rate, picture.scan)
    };
    for (mode, expected) in [
        ("720p50", "1280x720 50 progressive"),
        ("1080i50", "1920x1080 25 tff"),
        ("1080i5994", "1920x1080 30000/1001 tff"),
        ("1080p2398", "1920x1080 24000/1001 progressive"),
        ("2160p60", "3840x2160 60 progressive"),
    ] {
        assert_eq!(told(&["--video-mode", mode], ""), expected, "{mode}");
    }
    let file = "size = '64x36'\nvideo_mode = '720p25'";
    assert_eq!(told(&[], file), "64x36 25 progressive");
    let all = told(&["--video-mode=1080i60", "--scan=bff"], file);
    assert_eq!(all, "1920x1080 30 bff");
    for bad in [
        "",
        "720",
        "720i50",
        "1080i25",
        "1080x50",
        "480p30",
        "1080p29.97",
        "10é0p50",
    ] {
        let error = command(&["serve", &format!("--video-mode={bad}")], &[], None).unwrap_err();
        assert!(error.to_string().contains("1080i5994"), "{bad:?}: {error}");
    }
}

#[test]
fn every_key_is_taken_from_every_layer() {
    let cases = [
        ("listen", "listen", "127.0.0.1:1", "'127.0.0.1:1'"),
        ("log_format", "log-format", "json", "'json'"),
        ("require_token", "require-token", "true", "true"),
        ("caches", "caches", "video,b", "['video', 'b']"),
        ("gap_cure", "gap-cure", "false", "false"),
        ("poll_hold_seconds", "poll-hold-seconds", "300", "300"),
        ("ring_items", "ring-items", "7", "7"),
        ("ring_seconds", "ring-seconds", "7", "7"),
        ("topics_max", "topics-max", "7", "7"),
        ("topic_idle_seconds", "topic-idle-seconds", "7", "7"),
        ("output", "output", "a.mov", "['a.mov']"),
        (
            "source",
            "source",
            "http://h/topics/a/b",
            "['http://h/topics/a/b']",
        ),
        (
            "timed_metadata",
            "timed-metadata",
            "arn:aws:ivs:us-east-1:123456789012:channel/abcd1234",
            "'arn:aws:ivs:us-east-1:123456789012:channel/abcd1234'",
        ),
        ("container", "container", "nut", "'nut'"),
        ("codec", "codec", "prores", "'prores'"),
        ("quality", "quality", "90", "90"),
        ("speed", "speed", "best", "'best'"),
        ("format", "format", "yuva444p10le", "'yuva444p10le'"),
        ("background", "background", "#00b140", "'#00b140'"),
        ("matte", "matte", "stacked", "'stacked'"),
        ("key_range", "key-range", "full", "'full'"),
        ("policy", "policy", "drop", "'drop'"),
        ("css", "css", "a.css", "'a.css'"),
        (
            "vary",
            "vary",
            "sway=1px..2px,turn=-30deg..29.5deg",
            "{ sway = '1px..2px', turn = '-30deg..29.5deg' }",
        ),
        ("scale_factor", "scale-factor", "1.5", "1.5"),
        ("emoji_font", "emoji-font", "a.ttf", "'a.ttf'"),
        ("threads", "threads", "7", "7"),
        ("simd", "simd", "scalar", "'scalar'"),
        ("size", "size", "16x9", "'16x9'"),
        ("fps", "fps", "30000/1001", "'30000/1001'"),
        ("scan", "scan", "tff", "'tff'"),
        ("video_mode", "video-mode", "1080i50", "'1080i50'"),
        ("font_size_px", "font-size", "30.5", "30.5"),
        (
            "seed",
            "seed",
            "18446744073709551615",
            "'18446744073709551615'",
        ),
        ("alpha", "alpha", "premultiplied", "'premultiplied'"),
        ("sprites_max", "sprites-max", "7", "7"),
        ("overflow", "overflow", "drop-newest", "'drop-newest'"),
        ("queue_max", "queue-max", "7", "7"),
        ("queue_seconds", "queue-seconds", "7", "7"),
        ("spread_ms", "spread-ms", "7", "7"),
        ("coverage_max", "coverage-max", "0.5", "0.5"),
        ("opacity_max", "opacity-max", "0.5", "0.5"),
        ("flash_guard", "flash-guard", "true", "true"),
        ("quiet", "quiet", "true", "true"),
        ("publisher_rate", "publisher-rate", "2.5", "2.5"),
        ("channel_rate", "channel-rate", "7", "7"),
        ("repeat_ms", "repeat-ms", "7", "7"),
        ("allow", "allow", "heart,🔥", "['heart', '🔥']"),
        ("block", "block", "heart,fire", "['heart', 'fire']"),
        (
            "block_publishers",
            "block-publishers",
            "ann,bob",
            "['ann', 'bob']",
        ),
        ("test_pattern", "test-pattern", "true", "true"),
        ("connections_max", "connections-max", "7", "7"),
        (
            "connections_per_address",
            "connections-per-address",
            "7",
            "7",
        ),
        ("requests_per_second", "requests-per-second", "7", "7"),
        (
            "unlimited_addresses",
            "unlimited-addresses",
            "192.0.2.1,10.0.0.0/8",
            "['192.0.2.1', '10.0.0.0/8']",
        ),
        (
            "trusted_proxies",
            "trusted-proxies",
            "::1,10.0.0.0/8",
            "['::1', '10.0.0.0/8']",
        ),
        ("chat_rate", "chat-rate", "7", "7"),
        ("chat_length", "chat-length", "7", "7"),
        (
            "chat_review",
            "chat-review",
            "http://h/review",
            "'http://h/review'",
        ),
        (
            "chat_review_fallback",
            "chat-review-fallback",
            "DENY",
            "'DENY'",
        ),
    ];
    for key in config::key_names() {
        // Keys with tests of their own.
        let elsewhere = [
            "signing_key_file",
            "webhook_secret_file",
            "control_key_file",
            "tls_cert",
            "tls_key",
            "momento_tokens",
            "palette",
            "channel",
            "stage",
            "limits",
        ]
        .contains(&&key[..]);
        assert!(elsewhere || cases.iter().any(|case| case.0 == key), "{key}");
    }
    for (key, flag, value, toml) in cases {
        // Keys of outputs are seen in an output.
        let output = match key {
            "output" => &[][..],
            _ => &["--output=b"],
        };
        let by_flag = serve(&[output, &[&format!("--{flag}={value}")]].concat(), &[], "");
        let env = format!("FLOATUP_{}", key.to_uppercase());
        let by_env = serve(output, &[(&env, value)], "");
        let by_file = serve(output, &[], &format!("{key} = {toml}"));
        assert_ne!(by_flag, serve(output, &[], ""), "{key} changes nothing");
        assert_eq!(by_flag, by_env, "{key}");
        assert_eq!(by_flag, by_file, "{key}");
    }
}

#[test]
fn a_stage_has_a_table_whose_keys_may_stand_outside_of_it() {
    let file = "
        overflow = 'queue'
        [stage]
        sprites_max = 500
        queue_max = 9
        [[channel]]
        name = 'a'
        [channel.stage]
        sprites_max = 20
        spread_ms = 0
        [[channel]]
        name = 'b'
        coverage_max = 0.25";
    let got = serve(&[], &[], file);
    let [a, b] = &got.channels[..] else {
        panic!("{:?}", got.channels)
    };
    let limits = Limits {
        sprites_max: 500,
        overflow: Overflow::Queue,
        queue_max: 9,
        spread: Duration::from_secs(1),
        ..Default::default()
    };
    let of_a = Limits {
        sprites_max: 20,
        spread: Duration::ZERO,
        ..limits
    };
    assert_eq!(a.picture.limits, of_a);
    let of_b = Limits {
        coverage_max: Some(0.25),
        ..limits
    };
    assert_eq!(b.picture.limits, of_b);
    check_mistakes(
        "[stage]\nsprites_max = 0\nquue_max = 1\n[[channel]]\nname = 'a'\nstage = 5",
        &[
            "2: stage.sprites_max: \"0\": expected a whole number from 1 to 100000",
            "3: stage.quue_max: is no key: did you mean queue_max?",
            "6: channel.stage: expected a table, such as [stage]",
        ],
    );
    // A log's reactions come at its own times.
    let render = command(&["render", "a.ndjson", "a.mov"], &[], None);
    let Ok(Command::Render(render)) = render else {
        panic!("{render:?}")
    };
    assert_eq!(render.picture.limits.spread, Duration::ZERO);
}

#[test]
fn a_channel_has_limits_of_its_own() {
    let file = "
        publisher_rate = 5
        [limits]
        block = ['fire']
        [[channel]]
        name = 'a'
        [channel.limits]
        publisher_rate = 2
        allow = ['heart', ':clap:']
        [[channel]]
        name = 'b'
        block = []
        block_publishers = ['bob']";
    let got = serve(&[], &[], file);
    let [a, b] = &got.channels[..] else {
        panic!("{:?}", got.channels)
    };
    let emoji = |emoji: &[&str]| {
        let emoji = emoji
            .iter()
            .map(|emoji| floatup::reaction::Emoji::new(emoji));
        emoji.collect::<std::collections::HashSet<_>>()
    };
    assert_eq!(
        (a.gate.publisher_rate, b.gate.publisher_rate),
        (Some(2.0), Some(5.0))
    );
    assert_eq!(a.gate.allow, Some(emoji(&["❤️", "👏"])));
    assert_eq!((&a.gate.block, b.gate.block.len()), (&emoji(&["🔥"]), 0));
    assert!(b.gate.block_publishers.contains("bob") && b.gate.allow.is_none());
    check_refused(
        &["--block=heart,tomato"],
        &[],
        None,
        &[
            "block",
            "\"tomato\" is no reaction of the palette: expected some of heart, 100,",
        ],
    );
    check_mistakes(
        "[limits]\nrepeat_ms = -1\n[stage]\npublisher_rate = 1",
        &[
            "2: limits.repeat_ms: \"-1\": expected a whole number from 0 to 60000",
            "4: stage.publisher_rate: is no key: expected one of coverage_max,",
        ],
    );
}

#[test]
fn outputs_have_keys_of_their_own_over_the_common_ones() {
    let file = "
        quality = 10
        codec = 'prores'
        alpha = 'premultiplied'
        [[channel]]
        name = 'a'
        [[channel]]
        name = 'b'
        [[output]]
        to = 'a.mov'
        [[output]]
        to = 'unix:/run/feed?listen'
        channel = 'b'
        alpha = 'straight'
        codec = 'rawvideo'
        format = 'yuva420p'
        policy = 'block'
        background = 'lime'
        speed = 'fast'
        required = true
        container = 'nut'";
    let got = serve(&["--quality=20"], &[], file);
    let [a, b] = &got.outputs[..] else {
        panic!("{:?}", got.outputs)
    };
    let quality = "20".parse().ok();
    assert_eq!((a.target.to_string(), a.channel), ("a.mov".into(), 0));
    assert_eq!((a.alpha, a.policy), (Alpha::Premultiplied, None));
    let form = Form {
        codec: Some(Codec::ProRes),
        quality,
        ..Form::default()
    };
    assert_eq!(a.form, form);
    assert_eq!((b.channel, b.alpha), (1, Alpha::Straight));
    assert_eq!(b.policy, Some(Policy::Block));
    assert_eq!((a.is_required, b.is_required), (false, true));
    let form = Form {
        container: Some(Container::Nut),
        codec: Some(Codec::RawVideo),
        format: Some(VideoFormat::Yuva420p),
        quality,
        speed: "8".parse().ok(),
        matte: Some(Matte::Over(Colour([0, 255, 0]))),
        key_range: None,
    };
    assert_eq!(b.form, form);
    // A flag's outputs are in place of the file's.
    let got = serve(&["--output=-"], &[], file);
    assert_eq!(got.outputs.len(), 1);
    assert_eq!(got.outputs[0].target, Target::Stdout);
}

#[test]
fn mistakes_in_outputs_are_told() {
    for (file, line, key, part) in [
        ("output = 'a.mov'", 1, "output", "in quotes"),
        ("output = [1]", 1, "output", "[[output]]"),
        ("output = ['tcp://a']", 1, "output", "a host and a port"),
        ("[[output]]\ncodec = 'png'", 1, "output.to", "is missing"),
        ("[[output]]\nto = ''", 2, "output.to", "expected"),
        (
            "[[output]]\nto = 'a'\ncodec = 'x'",
            3,
            "output.codec",
            "qtrle",
        ),
        (
            "[[output]]\nto = 'a'\nqualty = 1",
            3,
            "output.qualty",
            "quality",
        ),
        (
            "[[channel]]\nname = 'x'\n[[output]]\nto = 'a'\nchannel = 'y'",
            3,
            "output.channel",
            "expected one of x",
        ),
    ] {
        let mistakes = check(file);
        let [mistake] = &mistakes[..] else {
            panic!("{file}: {mistakes:?}")
        };
        let at = (mistake.line, mistake.key.as_deref());
        assert_eq!(at, (line, Some(key)), "{file}");
        assert!(mistake.message.contains(part), "{file}: {mistake}");
    }
}

#[test]
fn channels_have_their_own_picture_over_the_common_one() {
    let file = "
        size = '100x100'
        fps = 25
        [palette]
        heart = '❤️'
        [[channel]]
        name = 'a'
        [[channel]]
        name = 'b'
        cache = 'c'
        topic = 't'
        size = '200x200'
        fps = 50
        css = 'b.css'";
    let got = serve(&["--fps=30"], &[], file);
    let [a, b] = &got.channels[..] else {
        panic!("{:?}", got.channels)
    };
    assert_eq!(a.topic, "a");
    assert_eq!((&b.cache[..], &b.topic[..]), ("c", "t"));
    assert_eq!(a.picture.size.to_string(), "100x100");
    assert_eq!(b.picture.size.to_string(), "200x200");
    assert_eq!(b.picture.rate.to_string(), "30", "the flag is above tables");
    assert_eq!(b.picture.look.css.as_deref(), Some(Path::new("b.css")));
    assert_eq!(a.picture.palette.entries().count(), 1);

    let followed = pipe(&["--channel=b"], &[], file);
    assert_eq!(followed.channel.name, b.name);
    assert_eq!(followed.channel.topic, "t");
    assert_eq!(followed.channel.picture.rate.to_string(), "50");
    let unknown = pipe(&["--channel=z", "--cache=k"], &[], file);
    let names = (&unknown.channel.cache[..], &unknown.channel.topic[..]);
    assert_eq!(names, ("k", "z"));
}

#[test]
fn pipe_connects_to_where_the_same_settings_listen() {
    for (listen, url) in [
        ("127.0.0.1:8787", "http://127.0.0.1:8787/"),
        ("0.0.0.0:9000", "http://127.0.0.1:9000/"),
        ("[::]:9000", "http://[::1]:9000/"),
        ("192.0.2.1:80", "http://192.0.2.1/"),
    ] {
        let file = format!("listen = '{listen}'");
        assert_eq!(pipe(&[], &[], &file).url.as_str(), url, "{listen}");
    }
    let file = "tls_cert = 'a.pem'\ntls_key = 'b.pem'";
    let url = pipe(&[], &[], file).url;
    assert_eq!(url.as_str(), "https://127.0.0.1:8787/");
    let elsewhere = pipe(&["--url=https://example.test/base"], &[], "");
    assert_eq!(elsewhere.url.as_str(), "https://example.test/base");
    check_refused(
        &["pipe"],
        &[],
        Some("listen = '127.0.0.1:0'"),
        &["listen", "--url"],
    );
}

#[test]
fn secrets_come_from_files_and_environment_and_stay_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let key = "k".repeat(32);
    std::fs::write(&path, format!("{key}\n")).unwrap();
    let path = path.to_str().unwrap();
    let file = format!("signing_key_file = '{path}'");
    let flag = format!("--signing-key-file={path}");
    let other = "o".repeat(32);
    for (args, env, file, expected) in [
        (
            &[][..],
            &[("FLOATUP_SIGNING_KEY", &other[..])][..],
            "",
            &other,
        ),
        (&[], &[("FLOATUP_SIGNING_KEY_FILE", path)], "", &key),
        (&[], &[], &file, &key),
        (&[], &[("FLOATUP_SIGNING_KEY", &other)], &file, &other),
        (&[&flag[..]], &[("FLOATUP_SIGNING_KEY", &other)], "", &key),
    ] {
        let got = serve(args, env, file);
        let got_key = got.signing_key.as_ref().unwrap();
        assert_eq!(got_key.expose(), expected, "{args:?} {env:?} {file}");
        assert!(!format!("{got:?}").contains(expected.as_str()));
    }
    let got = pipe(&[], &[("FLOATUP_TOKEN", "tok-en")], "");
    assert_eq!(got.token.as_ref().unwrap().expose(), "tok-en");
    assert!(!format!("{got:?}").contains("tok-en"));
    let got = pipe(&["--token-file", path], &[("FLOATUP_TOKEN", "t")], "");
    assert_eq!(got.token.unwrap().expose(), key);

    let short = [("FLOATUP_SIGNING_KEY", "hunter2")];
    check_refused(
        &[],
        &short,
        None,
        &["FLOATUP_SIGNING_KEY", "32", "openssl rand"],
    );
    let message = command(&[], &short, None).unwrap_err().to_string();
    assert!(!message.contains("hunter2"), "{message}");
    let both = [
        ("FLOATUP_SIGNING_KEY", &key[..]),
        ("FLOATUP_SIGNING_KEY_FILE", path),
    ];
    check_refused(&[], &both, None, &["both set"]);
    check_refused(
        &["--signing-key-file=/nonexistent/key"],
        &[],
        None,
        &["/nonexistent/key", "--signing-key-file"],
    );
    check_refused(
        &["--signing-key-file=/dev/zero"],
        &[],
        None,
        &["/dev/zero", "too long"],
    );
}

#[test]
fn a_control_key_is_a_secret_too() {
    let key = [("FLOATUP_CONTROL_KEY", "0123456789abcdef")];
    let got = serve(&[], &key, "");
    assert_eq!(got.control_key.as_ref().unwrap().expose(), key[0].1);
    assert!(!format!("{got:?}").contains(key[0].1));
    let short = [("FLOATUP_CONTROL_KEY", "hunter2")];
    check_refused(&[], &short, None, &["FLOATUP_CONTROL_KEY", "16"]);
    let message = command(&[], &short, None).unwrap_err().to_string();
    assert!(!message.contains("hunter2"), "{message}");
    let file = "control_key_file = '/nonexistent/key'";
    check_refused(
        &[],
        &[],
        Some(file),
        &["/nonexistent/key", "control_key_file"],
    );
}

#[test]
fn a_certificate_and_its_key_go_together() {
    let both = &["--tls-cert=a.pem", "--tls-key=b.pem"];
    let tls = serve(both, &[], "").tls.unwrap();
    assert_eq!((tls.cert, tls.key), ("a.pem".into(), "b.pem".into()));
    let env = [("FLOATUP_TLS_CERT", "a.pem"), ("FLOATUP_TLS_KEY", "b.pem")];
    assert_eq!(serve(both, &[], ""), serve(&[], &env, ""));
    check_refused(&both[..1], &[], None, &["tls_cert", "--tls-key"]);
    check_refused(&both[1..], &[], None, &["tls_key", "--tls-cert"]);
}

#[test]
fn beyond_loopback_only_with_a_key_and_tokens() {
    let key = "k".repeat(32);
    let env = [("FLOATUP_SIGNING_KEY", &key[..])];
    for listen in ["0.0.0.0:8787", "[::]:8787", "192.0.2.1:80"] {
        let flag = format!("--listen={listen}");
        check_refused(
            &[&flag],
            &[],
            None,
            &[
                "listen",
                listen,
                "FLOATUP_SIGNING_KEY",
                "openssl rand -hex 32",
            ],
        );
        assert!(serve(&[&flag], &env, "").require_token, "{listen}");
        check_refused(
            &[&flag, "--require-token=false"],
            &env,
            None,
            &["require_token", listen],
        );
    }
    for listen in ["127.0.0.2:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        let flag = format!("--listen={listen}");
        assert!(!serve(&[&flag], &[], "").require_token, "{listen}");
        assert!(serve(&[&flag, "--require-token"], &[], "").require_token);
    }
}

/// A bad value, and what its message says is accepted.
const BAD_VALUES: &[(&str, &str, &str)] = &[
    ("listen", "localhost", "an IP address and a port"),
    ("require_token", "maybe", "true or false"),
    ("caches", "a/b", "a name of 1 to 256 bytes"),
    ("gap_cure", "2", "true or false"),
    ("poll_hold_seconds", "0", "from 1 to 300"),
    ("poll_hold_seconds", "301", "from 1 to 300"),
    ("ring_items", "1.5", "from 1 to 100000"),
    ("ring_seconds", "-1", "from 1 to 86400"),
    ("topics_max", "x", "from 1 to 1000000"),
    ("topic_idle_seconds", "604801", "from 1 to 604800"),
    ("size", "1920", "WIDTHxHEIGHT"),
    ("size", "0x5", "from 1 to 16384"),
    ("fps", "59.94", "60000/1001"),
    ("font_size_px", "nan", "1 to 1000"),
    ("font_size_px", "0.5", "1 to 1000"),
    (
        "seed",
        "18446744073709551616",
        "from 0 to 18446744073709551615",
    ),
    ("alpha", "none", "straight or premultiplied"),
    ("sprites_max", "100001", "from 1 to 100000"),
    (
        "overflow",
        "explode",
        "retire-oldest, drop-newest, aggregate or queue",
    ),
    ("queue_max", "0", "from 1 to 100000"),
    ("queue_seconds", "61", "from 1 to 60"),
    ("spread_ms", "10001", "from 0 to 10000"),
    ("coverage_max", "0", "from 0.01 to 1"),
    ("opacity_max", "1.1", "from 0.01 to 1"),
    ("publisher_rate", "0", "from 0.01/s to 1000000/s"),
    ("channel_rate", "many", "from 0.01/s to 1000000/s"),
    ("repeat_ms", "60001", "from 0 to 60000"),
];

#[test]
fn a_bad_value_is_refused_by_name_in_every_layer() {
    for &(key, value, accepted) in BAD_VALUES {
        let flag = match key {
            "font_size_px" => "--font-size".into(),
            _ => format!("--{}", key.replace('_', "-")),
        };
        let with_value = format!("{flag}={value}");
        check_refused(&[&with_value], &[], None, &[&flag, value, accepted]);
        let env = format!("FLOATUP_{}", key.to_uppercase());
        check_refused(&[], &[(&env, value)], None, &[&env, value, accepted]);
        let toml = match (key, accepted) {
            ("caches", _) => format!("\n{key} = ['{value}']"),
            (_, "true or false") => continue,
            _ => format!("\n{key} = '{value}'"),
        };
        let place = format!("floatup.toml:2: {key}: ");
        check_refused(&[], &[], Some(&toml), &[&place, value, accepted]);
    }
    check_mistakes(
        "gap_cure = 'yes'",
        &["1: gap_cure: invalid type: string \"yes\", expected a boolean"],
    );
    check_refused(
        &[],
        &[("FLOATUP_SIZE", "")],
        None,
        &["FLOATUP_SIZE", "empty"],
    );
    check_refused(&["--sizes=1x1"], &[], None, &["--sizes", "--size"]);
    check_refused(&["pipe", "--url=ftp://x"], &[], None, &["--url", "http"]);
    check_refused(
        &["pipe", "--format=rgb"],
        &[],
        None,
        &["--format", "rgba, bgra, argb, abgr"],
    );
    check_refused(&["pipe", "--frames=0"], &[], None, &["--frames", "from 1"]);
    check_refused(
        &["pipe", "--channel=a/b"],
        &[],
        None,
        &["--channel", "slashes"],
    );
    check_refused(
        &["--output=a", "--output=a"],
        &[],
        None,
        &["output", "twice"],
    );
    check_refused(
        &["--caches=other"],
        &[],
        None,
        &["channel \"demo\"", "\"video\"", "other"],
    );
}

#[test]
fn names_are_single_path_segments() {
    let long = "x".repeat(257);
    for bad in ["", "a/b", "a\\\\b", ".", "..", "a\\u0000b", "a\\nb", &long] {
        check_mistakes(
            &format!("[[channel]]\nname = \"{bad}\""),
            &["2: channel.name: "],
        );
    }
    for good in ["a", "...", "a b", "$%7B", "放送", &long[1..]] {
        check_mistakes(&format!("[[channel]]\nname = \"{good}\""), &[]);
    }
}

#[test]
fn every_mistake_of_a_file_is_reported_with_its_line_and_key() {
    check_mistakes(
        "size = '12'\n\
         fsp = 60\n\
         caches = [\n  'ok',\n  'a/b',\n]\n\
         seed = [1]\n\
         css = 3\n\
         nonsense_here = 1\n\
         [palette]\n\
         heart = '❤️'\n\
         x = 'ab'\n\
         Heart = '🔥'\n\
         y = 1\n\
         '!' = '🔥'\n\
         [[channel]]\n\
         name = 'a'\n\
         fps = 0\n\
         topics = 'q'\n\
         [[channel]]\n\
         cache = 'nope'\n\
         name = 'a'\n\
         [[channel]]\n\
         seed = 7\n",
        &[
            "1: size: \"12\": expected WIDTHxHEIGHT",
            "2: fsp: is no key: did you mean fps?",
            "5: caches: \"a/b\": expected a name",
            "7: seed: invalid type: sequence, expected a string or a number",
            "8: css: invalid type: integer `3`, expected path string",
            "9: nonsense_here: is no key: expected one of allow, alpha, background, block, block_publishers,",
            "12: palette.x: palette entry \"x\": \"ab\" is not one emoji; expected one emoji",
            "13: palette.Heart: palette name \"Heart\" is given twice",
            "14: palette.y: expected one emoji in quotes",
            "15: palette.!: palette name \"!\" has no letter or digit",
            "18: channel.fps: frame rate \"0\": expected frames a second",
            "19: channel.topics: is no key: did you mean topic?",
            "22: channel.name: \"a\" is given twice",
            "23: channel.name: is missing",
        ],
    );
    check_mistakes(
        "palette = 1\nchannel = 2",
        &["1: palette: ", "2: channel: "],
    );
    check_mistakes(
        "channel = [1]\n[palette]",
        &["1: channel: ", "2: palette: is empty"],
    );
    check_mistakes(
        "caches = ['a']\n[[channel]]\nname = 'x'\n[[channel]]\nname = 'y'\ncache = 'a'",
        &["2: channel.cache: \"video\" is not in caches: expected one of a"],
    );
    let many: String = (0..65)
        .map(|n| format!("[[channel]]\nname = 'c{n}'\n"))
        .collect();
    check_mistakes(&many, &["1: channel: 65 channels: expected 1 to 64"]);
    check_mistakes(many.rsplit_once("[[").unwrap().0, &[]);
}

#[test]
fn lines_that_are_no_toml_do_not_hide_the_others() {
    check_mistakes(
        "size = 1\nbad line\nfps =\nseed = 'x'\nseed = 2\n[palette\nheart = 'x'\n[[channel]]\nname = ''\r\n",
        &[
            "1: size: ",
            "2: key with no value",
            "3: ",
            "4: seed: ",
            "5: duplicate key",
            "6: unclosed table",
            "9: channel.name: ",
        ],
    );
    let nonsense = "=\n".repeat(10_000);
    assert!((1..10_001).contains(&check(&nonsense).len()));
}

#[test]
fn check_config_exits_1_with_the_mistakes_and_0_without() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    let run = || floatup().arg("check-config").arg(&path).output().unwrap();
    std::fs::write(&path, "size = '12'\n\nfps = 0\n").unwrap();
    let output = run();
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    let place = path.display();
    assert_eq!(lines[0], format!("error: 2 mistakes in {place}"));
    assert!(
        lines[1].starts_with(&format!("{place}:1: size: ")),
        "{text}"
    );
    assert!(lines[2].starts_with(&format!("{place}:3: fps: ")), "{text}");

    std::fs::write(&path, "size = '12x12'\n").unwrap();
    let output = run();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(output.stdout, format!("{place}: ok\n").into_bytes());

    std::fs::write(&path, b"size = '\xff'").unwrap();
    let output = run();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("not UTF-8 at byte 8"),
        "{}",
        stderr(&output)
    );
    std::fs::remove_file(&path).unwrap();
    let output = run();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("a.toml: can't be opened"));
}

#[test]
fn a_bad_setting_ends_the_program_with_2_and_one_message() {
    for (args, env, part) in [
        (&["--size=1"][..], None, "--size"),
        (&[], Some(("FLOATUP_FPS", "x")), "FLOATUP_FPS"),
        (
            &["serve", "--config=/nonexistent.toml"],
            None,
            "/nonexistent.toml",
        ),
        (&["frobnicate"], None, "frobnicate"),
        (&["frame", "only-a-scene.json"], None, "<OUT>"),
    ] {
        let output = floatup().args(args).envs(env).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(output.stdout, b"", "{args:?}");
        assert!(
            stderr(&output).contains(part),
            "{args:?}: {}",
            stderr(&output)
        );
    }
}

/// The example's settings as it stands, and with its commented keys made settings.
fn example() -> (String, String) {
    let text = read("floatup.example.toml");
    let uncommented = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => rest,
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n");
    (text, uncommented)
}

#[test]
fn the_example_names_every_key_and_nothing_else() {
    let (text, uncommented) = example();
    check_mistakes(&text, &[]);
    check_mistakes(&uncommented, &[]);
    let table: toml::Table = uncommented.parse().unwrap();
    let mut expected = config::key_names();
    // Tables whose keys stand outside of them there.
    expected.retain(|key| key != "stage" && key != "limits");
    let mut named: Vec<String> = table.keys().cloned().collect();
    expected.sort();
    named.sort();
    assert_eq!(named, expected);
    let [channel] = &table["channel"].as_array().unwrap()[..] else {
        panic!("one channel in the example")
    };
    let keys: Vec<&str> = channel
        .as_table()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(keys, ["cache", "name", "topic"]);
}

#[test]
fn the_example_shows_the_defaults() {
    let (_, uncommented) = example();
    // These have no value that says the default.
    let none = [
        "signing_key_file",
        "webhook_secret_file",
        "control_key_file",
        "tls_cert",
        "tls_key",
        "chat_review",
        "momento_tokens",
        "timed_metadata",
        "font_size_px",
        "css",
        "emoji_font",
        "vary",
        "threads",
        "simd",
        "container",
        "codec",
        "quality",
        "speed",
        "format",
        "background",
        "matte",
        "key_range",
        "policy",
        "coverage_max",
        "publisher_rate",
        "channel_rate",
    ];
    let mut table: toml::Table = uncommented.parse().unwrap();
    for key in none {
        assert!(table.remove(key).is_some(), "{key}");
    }
    let palette = table.remove("palette").unwrap();
    assert_eq!(serve(&[], &[], &table.to_string()), serve(&[], &[], ""));
    let default = floatup::reaction::Palette::default();
    for (name, emoji) in palette.as_table().unwrap() {
        let emoji = floatup::reaction::Emoji::new(emoji.as_str().unwrap());
        assert_eq!(default.find(name), Some(emoji));
    }
}
