//! What is said of `floatup burn-in`.

use crate::burn_in::{BurnIn, SPRITES, Share};
use crate::page::{Page, ratio, three};

/// Memory that grows by no more than this, in MB, is flat.
const FLAT_MB: f64 = 5.0;

/// From one picture to the next, in ms.
const PICTURE_MS: f64 = 1_000.0 / 30.0;

/// Each figure that was wanted, and what it came to: its name, what was wanted, what was got, and
/// whether that is reached.
pub(super) fn wanted(row: &mut impl FnMut(&str, &str, String, bool), measured: &BurnIn) {
    for share in measured.cpu.iter().flat_map(|cpu| &cpu.shares) {
        let Share {
            preset,
            picture,
            of_none,
        } = share;
        row(
            &format!(
                "burn-in, {SPRITES} sprites, 1080p, {} picture, x264 {preset}: CPU time of the \
                 process against ffmpeg's without reactions",
                picture.name()
            ),
            "at most 1.05 ×",
            ratio(*of_none),
            *of_none <= 1.05,
        );
    }
    if let Some(overlay) = &measured.overlay {
        for (fed, share) in &overlay.ratios {
            row(
                &format!(
                    "burn-in's own CPU time a frame, {SPRITES} sprites, 1080p, against ffmpeg's \
                     `overlay` fed {fed}"
                ),
                "at most 0.1 ×",
                format!("{} ({} ms)", ratio(*share), three(overlay.own_ms)),
                *share <= 0.1,
            );
        }
    }
    if let Some(latency) = &measured.latency {
        let [middle, most] = latency.more_ms;
        row(
            &format!(
                "live burn-in, {SPRITES} sprites, 1080p30: latency beyond that of ffmpeg, median \
                 and 99th percentile"
            ),
            "at most 33.3 ms",
            format!("{} and {} ms", three(middle), three(most)),
            middle.max(most) <= PICTURE_MS,
        );
    }
    if let Some(memory) = &measured.memory {
        // One that is too slow for its programme has less to hold than it should, or more.
        let keeps_up = memory.pictures_per_s > 0.98 * 1_000.0 / PICTURE_MS;
        let behind = match keeps_up {
            true => String::new(),
            false => format!(", at {} pictures/s of 30", three(memory.pictures_per_s)),
        };
        row(
            &format!(
                "live burn-in, {SPRITES} sprites, 1080p30, {} minutes: resident memory at the most",
                memory.minutes
            ),
            "under 400 MB",
            format!("{} MB{behind}", three(memory.most_mb)),
            memory.most_mb < 400.0 && keeps_up,
        );
        row(
            "its growth from the first quarter to the last",
            &format!("at most {FLAT_MB} MB"),
            format!("{} MB{behind}", three(memory.growth_mb)),
            memory.growth_mb <= FLAT_MB && keeps_up,
        );
    }
    for (trouble, bad) in measured.trouble.iter().flat_map(|trouble| &trouble.bad) {
        row(
            &format!(
                "live burn-in while the topic's server {trouble}: pictures lost or late, dropped \
                 and overrun"
            ),
            "0",
            bad.to_string(),
            *bad <= 0.0,
        );
    }
}

/// What was measured, and how.
pub(super) fn sections(page: &mut Page, measured: &BurnIn) {
    if let Some(cpu) = &measured.cpu {
        page.heading("Burn-in: a recording");
        page.paragraph(
            "`floatup burn-in --reactions LOG` against `ffmpeg` with the same recording to MP4: \
             ffmpeg's test picture, 1080p30, H.264, a key frame each second, AAC; *flat* as it is, \
             *grain* with noise that is another in each frame, as a camera's is \
             (`noise=alls=6:allf=t`). Both decode, encode with `libx264`, `-crf 23 -g 60` and as \
             many threads as cores, and copy the sound; that x264 says the same of its settings in \
             all files, and that no frame is missing, is checked. ffmpeg has no overlay. Counted \
             is CPU time, user and system, of the whole process with its start. Reactions over a \
             flat picture are much more to encode, which is in floatup's figure and in that of \
             ffmpeg with a recording into which they were burned before; over grain they are less. \
             *No reactions* is floatup with an empty log. Medians of three rounds, in turn.",
        );
        page.table(&cpu.table);
    }
    if let Some(overlay) = &measured.overlay {
        page.heading("Burn-in: the overlay alone");
        page.paragraph(
            "CPU time, user and system, of the whole process with the overlay less that of the \
             same command without, divided by the recording's frames. Everywhere the recording is \
             decoded, sound copied, and pictures handed on as they are (`wrapped_avframe` into \
             `null`). floatup's, a log less an empty one, is all that reactions take: fonts and \
             sprites at the start, layout, painting, a copy of the picture where the decoder \
             needs it, too, and blending in YUV 4:2:0. The filter's is that of a full-frame picture of the same reactions, drawn by \
             somebody else before: 60 frames again and again, read from `/dev/shm`, where they are \
             RGBA converted to YUVA 4:2:0 by ffmpeg, and blended; or YUVA420P, read once and kept \
             by its filter `loop`, which leaves the blending. Differences of one round, medians of \
             five, in turn.",
        );
        page.table(&overlay.table);
    }
    if let Some(latency) = &measured.latency {
        page.heading("Burn-in: latency");
        page.paragraph(
            "This program writes a transport stream without B-frames into a pipe, each picture \
             when it is due, and reads what comes out of another. A picture's latency is from when \
             it was due to be handed in to when the last packet of the picture with the same time \
             since the first was read: both ways through pipes, demultiplexing, which knows that a \
             picture has ended when the next begins, decoding on as many threads as either takes \
             by itself, encoding, sound copied. 20 s of it after 10 s; where the median of the \
             last 10 s is another, a process has not caught up with what came while it looked at \
             the input, and the machine is too busy for a comparison. Medians of three rounds, in \
             turn. `low_delay` takes ffmpeg's decoder its threads, each of which holds a picture \
             back.",
        );
        page.table(&latency.table);
    }
    if let Some(memory) = &measured.memory {
        page.heading("Burn-in: memory");
        page.paragraph(
            "A programme at its rate through a pipe, to a transport stream with the settings that \
             live programmes have by default, with 100 reactions a second by the topic of a \
             `floatup serve`. `VmRSS` of the burn-in once a second after 10 s, and `VmHWM`, the \
             most that it ever was; libraries' pages are in it.",
        );
        page.table(&memory.table);
    }
    if let Some(trouble) = &measured.trouble {
        page.heading("Burn-in: trouble with the topic");
        page.paragraph(
            "35 s of the same live programme and settings as for latency, while the topic's server \
             accepts connections and says nothing; is killed after 12 s and started again after \
             17 s; gets 10,000 reactions a second in 500 messages. *Lost* is a picture that went \
             in and did not come out; *late* one that came out when the next one should have, one \
             thirtieth of a second after the median, the first 10 s left out. *Dropped*, *overrun* \
             and *without reactions* are floatup's own figures, of all 35 s. What is late while \
             the server is well is the machine's or the encoder's doing.",
        );
        page.table(&trouble.table);
    }
}
