//! The stylesheets that are built in: listed, whole, seen in the docs.

use std::time::Duration;

use floatup::look::STYLESHEET;
use floatup::look::preset::PRESETS;
use floatup::motion::{Stylesheet, Surroundings};

use crate::floatup::{Service, http, run, stderr};
use crate::tree::{read, root};

/// A frame with a sprite of 30 px.
const AROUND: Surroundings = Surroundings {
    container: (1280.0, 720.0),
    box_size: (37.4375, 35.0),
    scale: 1.0,
};

#[test]
fn they_are_listed_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["presets"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let listed = String::from_utf8(output.stdout).unwrap();
    let names: Vec<_> = listed
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    let expected: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
    assert_eq!(names, expected);
    assert!(names.len() >= 6, "{names:?}");
}

#[test]
fn each_is_a_stylesheet_whose_sprites_appear_move_and_end() {
    for preset in PRESETS {
        let sheet =
            Stylesheet::parse(preset.css).unwrap_or_else(|e| panic!("{}: {e}", preset.name));
        for share in [0.0, 0.3, 1.0] {
            let shares = vec![share; sheet.variables().len()];
            let motion = sheet.motion(None, &shares);
            let life = motion.lifetime();
            assert!((Duration::from_secs(1)..Duration::from_secs(6)).contains(&life));
            let poses: Vec<_> = (0..100)
                .map(|n| motion.pose(life * n / 100, &AROUND).unwrap())
                .collect();
            assert!(
                poses.iter().any(|pose| pose.opacity > 0.4),
                "{}",
                preset.name
            );
            assert!(poses.windows(2).filter(|two| two[0] != two[1]).count() > 80);
            assert_eq!(motion.pose(life, &AROUND), None);
        }
    }
}

#[test]
fn the_default_one_is_the_tutorials() {
    let of = |css: &str| Stylesheet::parse(css).unwrap();
    assert_eq!(of(PRESETS[0].css), of(STYLESHEET));
    assert_eq!(PRESETS[0].name, "float-up-and-out");
    // Eleven keyframes, each at a tenth, and two values of each sprite's own.
    let sideways = PRESETS[1].css;
    assert!((0..=10).all(|n| sideways.contains(&format!("  {}% {{", n * 10))));
    let ranges: Vec<_> = of(sideways)
        .variables()
        .iter()
        .map(|variable| format!("{} {}", variable.name, variable.range))
        .collect();
    assert_eq!(ranges, ["sway 10px..29px", "turn -30deg..29deg"]);
}

#[test]
fn each_is_seen_in_the_docs_as_its_command_draws_it() {
    let folder = tempfile::tempdir().unwrap();
    let page = read("docs/stylesheets.md");
    let scene = root().join("docs/presets/scene.json");
    for preset in PRESETS {
        let name = format!("presets/{}.png", preset.name);
        assert!(
            page.contains(&format!("({name})")),
            "docs/stylesheets.md shows {name}"
        );
        let args = [
            "frame",
            scene.to_str().unwrap(),
            "out.png",
            "--css",
            preset.name,
        ];
        let output = run(folder.path(), &args);
        assert!(output.status.success(), "{}", stderr(&output));
        let drawn = image::open(folder.path().join("out.png")).unwrap();
        let shown = image::open(root().join("docs").join(&name)).unwrap();
        assert!(drawn == shown, "docs/{name} is out of date");
    }
}

#[test]
fn a_range_that_is_set_is_that_of_frames_and_pages() {
    let folder = tempfile::tempdir().unwrap();
    let scene = root().join("docs/presets/scene.json");
    let frame = |vary: &[&str]| {
        let css = ["--css", "float-up-and-sideways"];
        let args = ["frame", scene.to_str().unwrap(), "out.png"];
        let output = run(folder.path(), &[&args, &css[..], vary].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        image::open(folder.path().join("out.png")).unwrap()
    };
    let still = frame(&["--vary", "sway=0px..0px,turn=0deg..0deg"]);
    assert!(still != frame(&[]));
    assert!(
        frame(&["--vary", "sway=10px..29px"]) == frame(&[]),
        "its own range"
    );

    let args = ["--css", "float-up-and-sideways", "--vary", "sway=1px..2px"];
    let service = Service::start(folder.path(), &args);
    let (status, css) = http(&service.address, "GET", "/assets/overlay.css", b"");
    let css = String::from_utf8(css).unwrap();
    assert_eq!(status, 200);
    let served = Stylesheet::parse(&css).unwrap();
    assert_eq!(served.variables()[0].range.to_string(), "1px..2px");
    service.stop();

    for (vary, part) in [
        ("sway", "such as sway=10px..29px"),
        ("sway=1px", "expected two numbers with the same unit"),
        ("sway=1px..2em", "expected two numbers with the same unit"),
        ("a b=1px..2px", "letters, digits"),
        ("a=1..2,a=1..2", "given twice"),
    ] {
        let output = run(folder.path(), &["render", "x", "y", "--vary", vary]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            stderr(&output).contains(part),
            "{vary}: {}",
            stderr(&output)
        );
    }
}
