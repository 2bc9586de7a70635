//! Programmes, made by the real ffmpeg.

use std::fs;
use std::path::Path;

use crate::media::{output, tool};

/// Runs ffmpeg in a folder: its arguments are words.
pub(super) fn ffmpeg(folder: &Path, arguments: &str) {
    let mut command = tool("ffmpeg");
    command.current_dir(folder).arg("-y");
    output(command.args(arguments.split_whitespace()));
}

/// Two seconds of 320x180 at 25 frames a second, each with its time and number in the picture.
pub(super) const PICTURE: &str = "-f lavfi -i testsrc2=s=320x180:r=25:d=2";

/// Makes two seconds of 320x180: the words after the picture are the encoder's.
pub(crate) fn video(folder: &Path, arguments: &str) {
    ffmpeg(folder, &format!("{PICTURE} {arguments}"));
}

/// H.264 that is quickly made.
pub(crate) const H264: &str = "-c:v libx264 -preset veryfast -pix_fmt yuv420p";

/// Chapters and tags, and captions.
fn texts(folder: &Path) {
    let tags = ";FFMETADATA1
title=Evening show
artist=Studio 4
comment=made for a test
[CHAPTER]
TIMEBASE=1/1000
START=0
END=1000
title=Opening
[CHAPTER]
TIMEBASE=1/1000
START=1000
END=2000
title=Guests
";
    fs::write(folder.join("tags.txt"), tags).unwrap();
    let captions = "1
00:00:00,200 --> 00:00:00,900
Hello

2
00:00:01,000 --> 00:00:01,800
<i>there</i>
";
    fs::write(folder.join("captions.srt"), captions).unwrap();
    fs::write(folder.join("notes.txt"), "Not a font, but attached.\n").unwrap();
}

/// Three sound tracks beside the picture, captions, chapters and tags: inputs 0 to 5 of ffmpeg.
fn inputs() -> String {
    let tones = [440, 880, 1_320].map(|hz| format!("-f lavfi -i sine={hz}:d=2:r=48000"));
    format!(
        "{PICTURE} {} -i captions.srt -f ffmetadata -i tags.txt -map_metadata 5 -map_chapters 5 \
         -map 0:v -map 1:a -map 2:a -map 3:a",
        tones.join(" ")
    )
}

/// Languages, names and dispositions of the three tracks.
const TRACKS: &str = "-metadata:s:a:0 language=eng -metadata:s:a:0 title=Main \
    -metadata:s:a:1 language=deu -metadata:s:a:1 title=Ton -metadata:s:a:2 language=fra \
    -disposition:a:0 default -disposition:a:1 visual_impaired -disposition:a:2 dub";

/// An MP4 with AAC, AC-3 and Opus, captions, chapters, tags and a cover.
pub(super) fn mp4(folder: &Path, name: &str) {
    texts(folder);
    ffmpeg(folder, "-f lavfi -i testsrc2=s=64x64 -frames:v 1 cover.png");
    let inputs = inputs().replace("-map_metadata", "-i cover.png -map_metadata");
    ffmpeg(
        folder,
        &format!(
            "{inputs} -map 4:s -map 6:v {H264} -c:a:0 aac -c:a:1 ac3 -c:a:2 libopus -c:s mov_text \
             -c:v:1 copy {TRACKS} -metadata:s:s:0 language=spa -disposition:v:1 attached_pic {name}"
        ),
    );
}

/// A Matroska file with AAC, AC-3 and Opus, captions in two forms, an attachment, chapters, tags.
pub(super) fn mkv(folder: &Path, name: &str) {
    texts(folder);
    let attached = "-attach notes.txt -metadata:s:t:0 mimetype=text/plain";
    ffmpeg(
        folder,
        &format!(
            "{} -map 4:s -map 4:s {H264} -c:a:0 aac -c:a:1 ac3 -c:a:2 libopus -c:s:0 srt -c:s:1 ass \
             {TRACKS} -metadata:s:s:0 language=spa -metadata:s:s:1 language=ita \
             -disposition:s:1 forced {attached} {name}",
            inputs()
        ),
    );
}

/// A transport stream with AAC, AC-3 and MP2.
pub(super) fn ts(folder: &Path, name: &str) {
    texts(folder);
    ffmpeg(
        folder,
        &format!(
            "{} {H264} -c:a:0 aac -c:a:1 ac3 -c:a:2 mp2 {TRACKS} {name}",
            inputs()
        ),
    );
}
