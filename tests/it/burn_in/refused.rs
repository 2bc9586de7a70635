//! What can't be done is said in one line, and nothing is written.

use std::fs;
use std::path::Path;

use super::media::{H264, PICTURE, ffmpeg, mkv, video};
use super::probe::Probe;
use super::{burn, burn_in, folder};
use crate::floatup::stderr;

/// Runs a burn-in that must fail with one line that has all of these words, and writes nothing.
#[track_caller]
fn refused(folder: &Path, arguments: &str, words: &[&str]) {
    let files = |folder: &Path| -> Vec<_> {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let mut files: Vec<_> = files
            .map(|file| (file.file_name(), fs::read(file.path()).unwrap()))
            .collect();
        files.sort();
        files
    };
    let before = files(folder);
    let output = burn_in(folder, arguments);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{arguments}: {told}");
    let last = told.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: "), "{arguments}: {told}");
    for word in words {
        assert!(
            last.contains(word),
            "{arguments}: {word:?} is not in {told}"
        );
    }
    assert!(
        files(folder) == before,
        "{arguments}: files are as they were"
    );
}

#[test]
fn inputs_that_are_none_are_named() {
    let folder = folder();
    let folder = folder.path();
    refused(folder, "missing.mp4 out.mp4", &["missing.mp4"]);
    fs::write(folder.join("words.mp4"), "No video at all.\n".repeat(100)).unwrap();
    refused(folder, "words.mp4 out.mp4", &["words.mp4"]);
    fs::write(folder.join("empty.mp4"), "").unwrap();
    refused(folder, "empty.mp4 out.mp4", &["empty.mp4"]);
    ffmpeg(folder, "-f lavfi -i sine=440:d=1 -c:a aac sound.m4a");
    refused(folder, "sound.m4a out.mp4", &["sound.m4a", "video"]);
    // A cover is no programme.
    ffmpeg(folder, "-f lavfi -i testsrc2=s=64x64 -frames:v 1 cover.png");
    ffmpeg(
        folder,
        "-i sound.m4a -i cover.png -map 0 -map 1 -c copy -disposition:v:0 attached_pic covered.m4a",
    );
    refused(folder, "covered.m4a out.mp4", &["covered.m4a", "video"]);
    // The end of an MP4 says where everything is.
    video(folder, &format!("{H264} whole.mp4"));
    let whole = fs::read(folder.join("whole.mp4")).unwrap();
    fs::write(folder.join("cut.mp4"), &whole[..whole.len() / 2]).unwrap();
    refused(folder, "cut.mp4 out.mp4", &["cut.mp4"]);
    refused(
        folder,
        "--input-format nonsense whole.mp4 out.mp4",
        &["nonsense"],
    );
}

#[test]
fn an_encrypted_file_is_refused() {
    let folder = folder();
    let folder = folder.path();
    video(
        folder,
        &format!(
            "{H264} -encryption_scheme cenc-aes-ctr -encryption_key 76a6c65c5ea762046bd749a2e632ccbb \
             -encryption_kid a7e61c373e219033c21091fa607bf3b8 in.mp4"
        ),
    );
    refused(folder, "in.mp4 out.mp4", &["in.mp4", "encrypted"]);
}

#[test]
fn encoders_that_are_not_there_are_named_with_those_that_are() {
    let folder = folder();
    let folder = folder.path();
    video(folder, &format!("{H264} in.mp4"));
    refused(
        folder,
        "--video-codec nonsense in.mp4 out.mp4",
        &["nonsense", "libx264", "libx265"],
    );
    // An encoder, but of sound.
    refused(
        folder,
        "--video-codec aac in.mp4 out.mp4",
        &["aac", "libx264"],
    );
    refused(folder, "--preset nonsense in.mp4 out.mp4", &["nonsense"]);
    refused(
        folder,
        "--encoder-option nonsense=1 in.mp4 out.mp4",
        &["nonsense"],
    );
    refused(folder, "--container nonsense in.mp4 out.mp4", &["nonsense"]);
    refused(folder, "in.mp4 out.nonsense", &["out.nonsense"]);
    refused(folder, "in.mp4 missing/out.mp4", &["missing/out.mp4"]);
    refused(
        folder,
        "--video-codec mpeg2video in.mp4 out.webm",
        &["out.webm"],
    );
}

#[test]
fn an_output_that_cannot_hold_a_stream_names_it() {
    let folder = folder();
    let folder = folder.path();
    mkv(folder, "in.mkv");
    refused(folder, "in.mkv out.mp4", &["out.mp4", "--drop-unsupported"]);
    let told = burn(folder, "--drop-unsupported in.mkv out.mp4");
    assert!(
        told.contains("subrip") || told.contains("ass"),
        "what is left out is said: {told}"
    );
    let [before, after] = ["in.mkv", "out.mp4"].map(|name| Probe::of(folder, name));
    let sound = |probe: &Probe| -> Vec<_> {
        let sound = probe
            .streams
            .iter()
            .filter(|stream| stream.kind() == "audio");
        sound
            .map(|stream| (stream.text("codec_name").to_owned(), stream.packets.len()))
            .collect()
    };
    assert_eq!(sound(&before), sound(&after), "what it can hold it holds");
    assert!(
        after
            .streams
            .iter()
            .all(|stream| stream.kind() != "attachment")
    );
}

#[test]
fn files_are_overwritten_only_by_force() {
    let folder = folder();
    let folder = folder.path();
    video(folder, &format!("{H264} in.mp4"));
    fs::write(folder.join("out.mp4"), "mine").unwrap();
    refused(folder, "in.mp4 out.mp4", &["out.mp4", "--force"]);
    refused(
        folder,
        "in.mp4 new.mp4 --output out.mp4",
        &["out.mp4", "--force"],
    );
    burn(folder, "--force in.mp4 out.mp4");
    assert!(fs::read(folder.join("out.mp4")).unwrap().len() > 1_000);
}

#[test]
fn the_input_is_never_the_output() {
    let folder = folder();
    let folder = folder.path();
    video(folder, &format!("{H264} in.mp4"));
    fs::hard_link(folder.join("in.mp4"), folder.join("linked.mp4")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("in.mp4", folder.join("symlink.mp4")).unwrap();
    let before = fs::read(folder.join("in.mp4")).unwrap();
    for arguments in [
        "in.mp4 in.mp4",
        "in.mp4 ./in.mp4",
        "in.mp4 linked.mp4",
        "in.mp4 symlink.mp4",
        "in.mp4 out.mp4 --output in.mp4",
    ] {
        let output = burn_in(folder, &format!("--force {arguments}"));
        assert!(!output.status.success(), "{arguments}");
        let told = stderr(&output);
        assert!(
            told.contains("in.mp4") || told.contains("linked") || told.contains("INPUT"),
            "{arguments}: {told}"
        );
        assert!(
            fs::read(folder.join("in.mp4")).unwrap() == before,
            "{arguments}"
        );
    }
    assert!(!folder.join("out.mp4").exists());
}

#[test]
fn a_bad_log_is_refused_before_anything_is_written() {
    let folder = folder();
    let folder = folder.path();
    video(folder, &format!("{H264} in.mp4"));
    let log = "{\"at_ms\":0,\"reaction\":\"heart\"}\nnonsense\n";
    fs::write(folder.join("log.ndjson"), log).unwrap();
    refused(folder, "in.mp4 out.mp4", &["log.ndjson", "line 2"]);
    let told = burn(folder, "--skip-bad-lines in.mp4 out.mp4");
    assert!(told.contains("line 2"), "{told}");
}

#[test]
fn a_dry_run_names_every_stream_and_writes_nothing() {
    let folder = folder();
    let folder = folder.path();
    mkv(folder, "in.mkv");
    let output = burn_in(
        folder,
        "--dry-run in.mkv out.mkv --output small.mkv --output-size 160x90",
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let told = String::from_utf8(output.stdout).unwrap();
    for word in [
        "h264",
        "libx264",
        "aac",
        "ac3",
        "opus",
        "subrip",
        "ass",
        "eng",
        "deu",
        "fra",
        "notes.txt",
        "out.mkv",
        "small.mkv",
        "160x90",
        "320x180",
    ] {
        assert!(told.contains(word), "{word:?} is not in {told}");
    }
    assert!(!folder.join("out.mkv").exists() && !folder.join("small.mkv").exists());
    // It says what would fail, too.
    let output = burn_in(folder, "--dry-run --drop-unsupported in.mkv out.mp4");
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
    assert!(told.contains("subrip"), "{told}");
    assert!(!folder.join("out.mp4").exists());
}

/// Pipes on both sides.
#[test]
fn a_programme_may_come_and_go_through_pipes() {
    let folder = folder();
    let folder = folder.path();
    ffmpeg(
        folder,
        &format!("{PICTURE} -f lavfi -i sine=440:d=2:r=48000 {H264} -c:a mp2 in.ts"),
    );
    let mut command = crate::floatup::floatup();
    command
        .current_dir(folder)
        .args(["burn-in", "--container", "mpegts", "-", "-"]);
    command
        .args(["--reactions", "log.ndjson"])
        .stdin(fs::File::open(folder.join("in.ts")).unwrap());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    fs::write(folder.join("out.ts"), output.stdout).unwrap();
    let [before, after] = ["in.ts", "out.ts"].map(|name| Probe::of(folder, name));
    super::probe::copies(&before, &after).none();
    super::probe::picture(&before, &after).none();
}
