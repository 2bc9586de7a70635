//! The command line of `burn-in`: its defaults, each output's own options, and what is refused.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use floatup::burn_in::settings::{
    Bitrate, Coding, Delay, Fit, OnInputLoss, OutputSettings, Region, Sync,
};
use floatup::config::{BurnInJob, Command, LookSettings, Reactions};
use floatup::frame::Size;
use floatup::stage::Overflow;

use crate::floatup::{floatup, stderr};
use crate::settings::{check_refused, command};

fn burn_in(args: &[&str], env: &[(&str, &str)], file: &str) -> BurnInJob {
    let args = [&["burn-in"], args].concat();
    match command(&args, env, Some(file)) {
        Ok(Command::BurnIn(job)) => *job,
        other => panic!("{args:?} {env:?} {file:?}: {other:?}"),
    }
}

/// The outputs that a command line asks for, after its INPUT and OUTPUT.
fn outputs(args: &[&str]) -> Vec<OutputSettings> {
    burn_in(&[&["in.ts", "a.mp4"], args].concat(), &[], "").outputs
}

/// An output with nothing but its target.
fn plain(target: &str) -> OutputSettings {
    OutputSettings {
        target: target.into(),
        container: None,
        size: None,
        fit: Fit::Contain,
        coding: Coding::default(),
    }
}

fn refused(args: &[&str], parts: &[&str]) {
    check_refused(&[&["burn-in"], args].concat(), &[], None, parts);
}

#[test]
fn input_and_output_are_enough() {
    let job = burn_in(&["in.ts", "out.mp4"], &[], "");
    assert_eq!(job.input, "in.ts");
    assert_eq!(job.input_format, None);
    assert_eq!(job.outputs, [plain("out.mp4")]);
    let Reactions::Topic {
        url,
        name,
        cache,
        topic,
        token,
    } = &job.reactions
    else {
        panic!("{:?}", job.reactions)
    };
    assert_eq!(url.as_str(), "http://127.0.0.1:8787/");
    let names = (&name[..], &cache[..], &topic[..]);
    assert_eq!(names, ("demo", "video", "demo"));
    assert_eq!(*token, None);
    assert_eq!((job.delay, job.sync), (Delay::default(), Sync::Arrival));
    assert_eq!(job.region, Region::Full);
    let switches = [
        job.drop_unsupported,
        job.force,
        job.dry_run,
        job.realtime,
        job.picture.test_pattern,
    ];
    assert_eq!(switches, [false; 5]);
    assert_eq!(
        (job.on_input_loss, &job.slate, job.metrics),
        (None, &None, None)
    );
    assert_eq!(job.picture.look, LookSettings::default());
    assert_eq!(
        (job.picture.seed, job.picture.limits.sprites_max),
        (0, 1_000)
    );
}

#[test]
fn every_option_is_taken() {
    let job = burn_in(
        &[
            "--reactions=log.ndjson",
            "--skip-bad-lines",
            "--delay",
            "-1.5s",
            "--sync=pts",
            "--region=50%x25%+0%+75%",
            "--dry-run",
            "--force",
            "--drop-unsupported",
            "--on-input-loss=slate",
            "--slate=slate.png",
            "--realtime",
            "--input-format=mpegts",
            "--metrics=127.0.0.1:9100",
            "--css=a.css",
            "--vary=sway=1px..2px",
            "--scale-factor=2",
            "--emoji-font=a.ttf",
            "--threads=7",
            "--simd=scalar",
            "--font-size=30.5",
            "--seed=7",
            "--sprites-max=9",
            "--overflow=drop-newest",
            "--test-pattern",
            "-",
            "-",
            "--video-codec=libx264",
            "--crf=18.5",
            "--preset=veryfast",
            "--tune=zerolatency",
            "--gop=50",
            "--output-size=1080x1920",
            "--fit=cover",
            "--container=mpegts",
            "--encoder-option=x264-params=bframes=2:ref=3",
            "--encoder-option=flags=",
        ],
        &[],
        "",
    );
    let log = Reactions::Log {
        path: "log.ndjson".into(),
        skip_bad_lines: true,
    };
    assert_eq!(job.reactions, log);
    let delay = Delay {
        by: Duration::from_millis(1_500),
        earlier: true,
    };
    assert_eq!((job.delay, job.sync), (delay, Sync::Pts));
    assert_eq!(job.region.to_string(), "50%x25%+0%+75%");
    assert!(job.dry_run && job.force && job.drop_unsupported && job.realtime);
    assert_eq!(job.on_input_loss, Some(OnInputLoss::Slate));
    assert_eq!(job.slate.as_deref(), Some(Path::new("slate.png")));
    assert_eq!(job.input_format.as_deref(), Some("mpegts"));
    assert_eq!(job.metrics, "127.0.0.1:9100".parse().ok());
    let picture = &job.picture;
    assert_eq!(picture.look.css.as_deref(), Some(Path::new("a.css")));
    assert_eq!(picture.look.vary.len(), 1);
    assert_eq!((picture.look.scale, picture.threads), (2.0, 7));
    assert_eq!(picture.look.font_size_px, Some(30.5));
    assert_eq!((picture.seed, picture.limits.sprites_max), (7, 9));
    assert_eq!(picture.limits.overflow, Overflow::DropNewest);
    assert!(picture.test_pattern);
    let option = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let output = OutputSettings {
        target: "-".into(),
        container: Some("mpegts".into()),
        size: Size::new(1080, 1920).ok(),
        fit: Fit::Cover,
        coding: Coding {
            codec: Some("libx264".into()),
            bitrate: None,
            crf: Some(18.5),
            preset: Some("veryfast".into()),
            tune: Some("zerolatency".into()),
            gop: Some(50),
            options: vec![
                option("x264-params", "bframes=2:ref=3"),
                option("flags", ""),
            ],
        },
    };
    assert_eq!((&job.input, &job.outputs[..]), (&"-".into(), &[output][..]));
    let rate = outputs(&["--bitrate=2500k"])[0].coding.bitrate;
    assert_eq!(rate, Some(Bitrate(2_500_000)));
}

#[test]
fn a_topic_and_its_picture_are_those_of_pipe() {
    let file = "
        listen = '0.0.0.0:9000'
        seed = 1
        sprites_max = 1
        container = 'nut'
        [[channel]]
        name = 'b'
        topic = 't'
        overflow = 'drop-newest'
        sprites_max = 2
        [palette]
        heart = '❤️'";
    let env = [("FLOATUP_TOKEN", "tok-en"), ("FLOATUP_SEED", "2")];
    let args = ["in.ts", "out.mp4", "--channel=b", "--cache=k"];
    let job = burn_in(&args, &env, file);
    let Reactions::Topic {
        url,
        name,
        cache,
        topic,
        token,
    } = &job.reactions
    else {
        panic!("{:?}", job.reactions)
    };
    let names = (&name[..], &cache[..], &topic[..]);
    assert_eq!(
        (url.as_str(), names),
        ("http://127.0.0.1:9000/", ("b", "k", "t"))
    );
    assert_eq!(token.as_ref().unwrap().expose(), "tok-en");
    assert_eq!((job.picture.seed, job.picture.limits.sprites_max), (2, 2));
    assert_eq!(job.picture.limits.overflow, Overflow::DropNewest);
    assert_eq!(job.picture.palette.entries().count(), 1);
    assert_eq!(
        job.outputs,
        [plain("out.mp4")],
        "the file's outputs are others"
    );
    // A log is of no channel.
    let job = burn_in(&["in.ts", "out.mp4", "--reactions=log"], &[], file);
    assert_eq!((job.picture.seed, job.picture.limits.sprites_max), (1, 1));
    assert_eq!(job.picture.limits.overflow, Overflow::RetireOldest);
}

#[test]
fn options_after_an_output_are_its_own() {
    let got = outputs(&[
        "--crf=20",
        "--video-codec=libx264",
        "--preset=fast",
        "--encoder-option=a=1",
        "--encoder-option=b=1",
        "--gop=25",
        "--output",
        "b.mp4",
        "--bitrate",
        "2M",
        "--output-size=540x960",
        "--encoder-option=b=2",
        "--output=c.webm",
        "--video-codec=libvpx-vp9",
        "--output=rtmp://h/x",
        "--video-codec=libx264",
        "--tune=film",
    ]);
    let options = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        list.iter().map(owned).collect()
    };
    let coding = Coding {
        codec: Some("libx264".into()),
        crf: Some(20.0),
        preset: Some("fast".into()),
        gop: Some(25),
        options: options(&[("a", "1"), ("b", "1")]),
        ..Coding::default()
    };
    let a = OutputSettings {
        coding: coding.clone(),
        ..plain("a.mp4")
    };
    let b = OutputSettings {
        size: Size::new(540, 960).ok(),
        coding: Coding {
            // In place of the crf: an encoder takes one of them.
            bitrate: Some(Bitrate(2_000_000)),
            crf: None,
            options: options(&[("a", "1"), ("b", "2")]),
            ..coding.clone()
        },
        ..plain("b.mp4")
    };
    let c = OutputSettings {
        coding: Coding {
            // Another encoder's preset and options are not for this one.
            codec: Some("libvpx-vp9".into()),
            preset: None,
            options: Vec::new(),
            ..coding.clone()
        },
        ..plain("c.webm")
    };
    let d = OutputSettings {
        coding: Coding {
            tune: Some("film".into()),
            ..coding
        },
        ..plain("rtmp://h/x")
    };
    assert_eq!(got, [a, b, c, d]);
    let own = outputs(&["--bitrate=6M", "--output=b", "--crf=30"]);
    let rates = |output: &OutputSettings| (output.coding.bitrate, output.coding.crf);
    assert_eq!(rates(&own[0]), (Some(Bitrate(6_000_000)), None));
    assert_eq!(rates(&own[1]), (None, Some(30.0)));
}

#[test]
fn two_dashes_end_the_options() {
    let job = burn_in(
        &["--output=b", "--crf=1", "--", "-in.ts", "--output"],
        &[],
        "",
    );
    assert_eq!(job.input, "-in.ts");
    let crf = |output: &OutputSettings| (output.target.clone(), output.coding.crf);
    let got: Vec<(OsString, Option<f32>)> = job.outputs.iter().map(crf).collect();
    assert_eq!(got, [("--output".into(), None), ("b".into(), Some(1.0))]);
    let job = burn_in(&["--gop=9", "--output", "-", "--", "a", "b"], &[], "");
    assert_eq!(job.outputs.len(), 2);
    assert!(
        job.outputs
            .iter()
            .all(|output| output.coding.gop == Some(9))
    );
    refused(&["a", "--", "b", "--output", "c"], &["'--output'"]);
}

#[test]
fn help_is_given_wherever_it_is_asked_for() {
    for args in [
        &["--help"][..],
        &["a", "b", "--output", "c", "--help"],
        &["a", "b", "--output=c", "-h"],
    ] {
        let output = floatup().arg("burn-in").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        for part in [
            "floatup burn-in [OPTIONS] <INPUT> <OUTPUT> [--output <TARGET> [VIDEO OPTIONS]]...",
            "Reactions:",
            "Video:",
            "Behaviour:",
            "Picture:",
            "--encoder-option",
        ] {
            assert!(text.contains(part), "{args:?} lacks {part}: {text}");
        }
        // An output's container has no variable.
        assert!(!text.contains("FLOATUP_CONTAINER"), "{text}");
        assert!(text.contains("FLOATUP_SPRITES_MAX"), "{text}");
        for of_frames in ["--size", "--fps", "--scan", "--alpha", "--video-mode"] {
            assert!(!text.contains(&format!("{of_frames} ")), "{text}");
        }
    }
}

#[test]
fn a_bad_value_is_refused_by_name_and_output() {
    for (flag, value, accepted) in [
        ("--crf", "63.5", "from 0 to 63"),
        ("--crf", "-1", "from 0 to 63"),
        ("--crf", "nan", "from 0 to 63"),
        ("--gop", "0", "from 1 to 100000"),
        ("--gop", "100001", "from 1 to 100000"),
        ("--bitrate", "6m", "from 1k to 1G"),
        (
            "--output-size",
            "1280x721",
            "an even number from 2 to 16384",
        ),
        (
            "--output-size",
            "1281x720",
            "an even number from 2 to 16384",
        ),
        (
            "--output-size",
            "16386x720",
            "an even number from 2 to 16384",
        ),
        ("--output-size", "0x720", "an even number from 2 to 16384"),
        ("--fit", "crop", "contain, cover or stretch"),
        ("--encoder-option", "bframes", "name and value"),
        ("--encoder-option", "=2", "name and value"),
        ("--encoder-option", "a b=2", "name and value"),
    ] {
        let given = format!("{flag}={value}");
        refused(&["a", "b", &given], &[flag, value, accepted]);
        let of_output = ["--output c.mp4: ", flag, value, accepted];
        refused(&["a", "b", "--output", "c.mp4", &given], &of_output);
    }
    for (flag, value, accepted) in [
        ("--delay", "8m", "8s, 250ms or 1.5s"),
        ("--delay", "3601", "at most an hour"),
        ("--delay", "--force", "at most an hour"),
        ("--sync", "dts", "arrival or pts"),
        ("--region", "middle", "title-safe"),
        ("--on-input-loss", "stop", "wait, slate or exit"),
        ("--metrics", "9100", "an IP address and a port"),
        ("--url", "ftp://x", "http"),
    ] {
        refused(&["a", "b", flag, value], &[flag, value, accepted]);
    }
    for flag in [
        "--video-codec",
        "--preset",
        "--tune",
        "--container",
        "--input-format",
    ] {
        refused(
            &["a", "b", &format!("{flag}=")],
            &[flag, "a value is required"],
        );
    }
    refused(&["", "b"], &["<INPUT>", "- for stdin"]);
    refused(&["a", ""], &["<OUTPUT>", "- for stdout"]);
    refused(&["a", "b", "--output="], &["--output", "- for stdout"]);
    for frame in [
        "--size=1x1",
        "--fps=25",
        "--scan=tff",
        "--alpha=straight",
        "--matte=fill",
    ] {
        let flag = frame.split_once('=').unwrap().0;
        refused(&["a", "b", frame], &["unexpected argument", flag]);
    }
}

#[test]
fn what_is_out_of_place_is_said() {
    refused(&[], &["<INPUT>", "<OUTPUT>"]);
    refused(&["a"], &["<OUTPUT>"]);
    refused(&["a", "b", "c"], &["unexpected argument 'c'"]);
    for of_all in [
        "--delay=8s",
        "--force",
        "--reactions",
        "--seed=1",
        "--font-size-px=1",
        "--config=x",
    ] {
        let flag = of_all.split('=').next().unwrap();
        let parts = ["--output c: ", flag, "before the first --output"];
        refused(&["a", "b", "--output=x", "--output", "c", of_all], &parts);
    }
    refused(
        &["a", "b", "--output", "c", "d"],
        &[
            "--output c: ",
            "'d'",
            "INPUT and OUTPUT before the first --output, or after --",
        ],
    );
    let unknown = ["--output c: unexpected argument '--crff'", "'--crf'"];
    refused(&["a", "b", "--output=c", "--crff=1"], &unknown);
    refused(
        &["a", "b", "--output=c", "--size=1x1"],
        &["--output c: unexpected argument '--size'"],
    );
    refused(
        &["a", "b", "--output=c", "-x"],
        &["--output c: unexpected argument '-x'"],
    );
    refused(
        &["a", "b", "--output=c", "--crf"],
        &["--output c: ", "a value is required"],
    );
    for missing in [
        &["--output"][..],
        &["--output", "--crf", "1"],
        &["--output", "--output", "c"],
    ] {
        let args = [&["a", "b"], missing].concat();
        refused(&args, &["a value is required for '--output <TARGET>'"]);
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    let both = ["--crf", "cannot be used with", "--bitrate"];
    refused(&["a", "b", "--crf=1", "--bitrate=6M"], &both);
    refused(&["a", "b", "--output=c", "--crf=1", "--bitrate=6M"], &both);
    for topic in [
        "--channel=demo",
        "--url=http://x",
        "--cache=k",
        "--token-file=t",
    ] {
        let flag = topic.split_once('=').unwrap().0;
        refused(
            &["a", "b", "--reactions=l", topic],
            &["--reactions", "cannot be used with", flag],
        );
    }
    refused(&["a", "b", "--skip-bad-lines"], &["--reactions"]);
    refused(
        &["a", "b", "--slate=s.png"],
        &["--slate", "--on-input-loss slate"],
    );
    let wait = ["a", "b", "--slate=s.png", "--on-input-loss=wait"];
    refused(&wait, &["--slate", "--on-input-loss slate"]);
    refused(
        &["a", "b", "--delay=-60.001s"],
        &["--delay -60.001s", "60 s", "--reactions"],
    );
    burn_in(&["a", "b", "--delay=-60s"], &[], "");
    burn_in(&["a", "b", "--delay=-3600s", "--reactions=l"], &[], "");
    let option = "--encoder-option=x=1";
    let twice = ["output c: ", "--encoder-option x is given twice"];
    refused(&["a", "b", "--output=c", option, option], &twice);
}

#[test]
fn no_place_is_written_to_twice_or_read_from_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("in.ts"), b"").unwrap();
    std::os::unix::fs::symlink(path("in.ts"), path("link.ts")).unwrap();
    std::fs::create_dir(path("sub")).unwrap();
    let (input, around) = (path("in.ts"), path("sub/../in.ts"));
    for same in [&input, &around, &path("link.ts"), &format!("file:{input}")] {
        refused(&[&input, same], &[same, "is INPUT, too"]);
        refused(&[same, &input], &[&input, "is INPUT, too"]);
        refused(&[&input, "b", "--output", same], &[same, "is INPUT, too"]);
        refused(
            &["a", "b", "--reactions", &input, "--output", same],
            &[same, "is --reactions"],
        );
    }
    let slate = ["a", &around, "--on-input-loss=slate", "--slate", &input];
    refused(&slate, &[&around, "is --slate, too"]);
    // Not there yet.
    let (new, around) = (path("new.mp4"), path("sub/../new.mp4"));
    refused(&[&new, &around], &[&around, "is INPUT, too"]);
    refused(&["a", &new, "--output", &around], &[&around, "given twice"]);
    refused(&["a", "b", "--output", "./b"], &["./b", "given twice"]);
    refused(&["a", "-", "--output=-"], &["output - ", "given twice"]);
    let stream = "rtmp://h/x";
    // What follows the host may be its key.
    refused(&[stream, stream], &["rtmp://h is INPUT, too"]);
    refused(
        &["a", stream, "--output", stream],
        &["rtmp://h is given twice"],
    );
    assert_eq!(burn_in(&["-", "-", "--output=b"], &[], "").outputs.len(), 2);
    let far = path("nowhere/new.mp4");
    assert_eq!(burn_in(&[&new, &far], &[], "").outputs.len(), 1);
}

#[cfg(unix)]
#[test]
fn paths_need_not_be_text() {
    use std::os::unix::ffi::OsStringExt;

    let name = |byte| OsString::from_vec(vec![b'a', byte]);
    let args = ["floatup", "burn-in"].map(OsString::from);
    let args = args.into_iter().chain([name(0xff), name(0xfe)]);
    let args = args.chain(["--output".into(), name(0xfd)]);
    let Ok(Command::BurnIn(job)) = floatup::config::command(args, |_| None) else {
        panic!("not taken")
    };
    assert_eq!(job.input, name(0xff));
    let targets: Vec<&OsString> = job.outputs.iter().map(|output| &output.target).collect();
    assert_eq!(targets, [&name(0xfe), &name(0xfd)]);
}

#[test]
fn a_bad_command_line_ends_the_program_with_2_and_one_message() {
    for (args, line) in [
        (
            &["a", "a"][..],
            "error: output a is INPUT, too: expected another output",
        ),
        (
            &["a", "b", "--output=c", "--gop=0"],
            "error: --output c: invalid value '0' for '--gop <FRAMES>'",
        ),
    ] {
        let output = floatup().arg("burn-in").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(output.stdout, b"", "{args:?}");
        let text = stderr(&output);
        assert!(text.starts_with(line), "{args:?}: {text}");
        assert_eq!(text.matches("error").count(), 1, "{args:?}: {text}");
    }
}
