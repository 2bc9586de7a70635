//! `floatup verify-alpha`: what became of the test chart in a capture.

use std::fmt;

use anyhow::{Context as _, Result, bail};

use crate::capture::{Capture, Decoded};
use crate::chart::{self, Blend, Fate, Picture, TOLERANCE, Treatment, Verdict};
use crate::config::VerifyJob;
use crate::shown;

/// Pictures that are looked at for a chart: ten seconds of 60 a second.
const PICTURES_MAX: u64 = 600;

pub(super) fn run(job: &VerifyJob) -> Result<()> {
    let name = shown::address(&job.capture.to_string_lossy());
    let mut capture = Capture::open(&job.capture)?;
    for number in 0..PICTURES_MAX {
        let Some(decoded) = capture.next_picture().with_context(|| name.clone())? else {
            bail!(
                "{name}: no chart found in {number} pictures: expected floatup's test chart, whole \
                 and upright"
            );
        };
        let picture = Picture {
            pixels: &decoded.pixels,
            size: decoded.size,
            has_alpha: decoded.has_alpha,
        };
        if let Some(verdict) = chart::verify(&picture, job.background) {
            let report = Report {
                decoded: &decoded,
                verdict: &verdict,
                declared: job.background,
            };
            super::tell(&format!("{name}, picture {number}\n{report}"))?;
            if !report.is_right() {
                bail!("{name}: the chart is not as it was drawn");
            }
            return Ok(());
        }
    }
    bail!("{name}: no chart found in the first {PICTURES_MAX} pictures")
}

/// What there is to say about a picture of the chart.
struct Report<'r> {
    decoded: &'r Decoded,
    verdict: &'r Verdict,
    /// The background that the chart was said to be over.
    declared: Option<[u8; 3]>,
}

impl Report<'_> {
    fn is_right(&self) -> bool {
        self.verdict.is_right(self.declared.is_some())
    }

    /// What became of alpha, in a line.
    fn alpha(&self) -> String {
        let opaque = if self.decoded.has_alpha {
            "lost (the file has an alpha channel, but nothing in it is clear)"
        } else {
            "lost (the file has none)"
        };
        match self.verdict.fate {
            Fate::Kept(treatment) => {
                let kind = match treatment {
                    Treatment::Straight => "straight",
                    Treatment::Premultiplied => "premultiplied",
                    Treatment::Twice => "multiplied twice",
                    Treatment::Unmultiplied => "divided by alpha once too often",
                };
                let range = self.verdict.alpha_range;
                let range = range.map_or(String::new(), |mistake| format!(", {mistake}"));
                let off = self.verdict.alpha_error;
                format!("survived, {kind}{range}: at most {off:.1} levels off")
            }
            Fate::Dropped => format!("{opaque}: straight colours without it"),
            Fate::Composited {
                treatment,
                blend,
                background,
            } => {
                let kind = match treatment {
                    Treatment::Twice => ", multiplied twice",
                    Treatment::Unmultiplied => ", not multiplied",
                    Treatment::Straight | Treatment::Premultiplied => "",
                };
                let blend = match blend {
                    Blend::Srgb => "",
                    Blend::Obs => ", mixed as OBS Studio does by default",
                    Blend::Linear => ", mixed in linear light",
                };
                format!("{opaque}: put over {}{kind}{blend}", Hex(background))
            }
        }
    }

    /// What is wrong, each with what to do about it.
    fn wrongs(&self) -> Vec<(String, &'static str)> {
        let verdict = self.verdict;
        let mut wrongs = Vec::new();
        if !verdict.fits() {
            let worst = |(name, error): (&'static str, f64), reading: &chart::Reading| {
                if reading.error > error {
                    (reading.name, reading.error)
                } else {
                    (name, error)
                }
            };
            let (name, error) = verdict.readings.iter().fold(("", 0.0), worst);
            wrongs.push((
                format!(
                    "no known mistake explains it within {TOLERANCE} levels; what is above is the \
                     nearest, and patch {name} is {error:.0} levels from right"
                ),
                "look for filters, fades, blended frames, a background that moves, or a bit rate \
                 that is too low",
            ));
        }
        match verdict.fate {
            Fate::Kept(Treatment::Straight | Treatment::Premultiplied) => {}
            Fate::Kept(Treatment::Twice) => wrongs.push((
                "colour was multiplied by alpha twice: what is half transparent is too dark".into(),
                "premultiplied frames were taken for straight ones: send --alpha straight, or say \
                 to what reads them that they are premultiplied",
            )),
            Fate::Kept(Treatment::Unmultiplied) => wrongs.push((
                "colour was divided by alpha though it was straight: what is half transparent is \
                 too bright"
                    .into(),
                "straight frames were taken for premultiplied ones: send --alpha premultiplied, or \
                 say to what reads them that they are straight",
            )),
            Fate::Dropped => wrongs.push((
                "alpha is lost: what should be invisible shows".into(),
                "use a codec and a container that both have alpha, such as QuickTime Animation or \
                 ProRes 4444 in MOV, FFV1 in MKV, VP9 in WebM, and a reader that knows it",
            )),
            Fate::Composited {
                treatment,
                background,
                ..
            } => wrongs.extend(self.composited(treatment, background)),
        }
        if let Some(mistake) = verdict.alpha_range {
            wrongs.push((
                format!("alpha's levels: {mistake}"),
                "alpha is full range in files, and limited in a key signal over SDI: set the range \
                 of the conversion between them",
            ));
        }
        if let Some(mistake) = verdict.colours.matrix {
            wrongs.push((
                format!("the colours' matrix: {mistake}"),
                "convert with the matrix that the file is tagged with, such as ffmpeg's \
                 -vf scale=out_color_matrix=bt709 with -colorspace bt709; a file without tag is \
                 read as BT.601",
            ));
        }
        if let Some(mistake) = verdict.colours.range {
            wrongs.push((
                format!("the colours' range: {mistake}"),
                "convert to the range that the file is tagged with, such as ffmpeg's \
                 -vf scale=out_range=tv with -color_range tv, and set the same in what reads it",
            ));
        }
        wrongs
    }

    fn composited(&self, treatment: Treatment, background: [u8; 3]) -> Vec<(String, &'static str)> {
        let mut wrongs = Vec::new();
        if self.declared.is_none() {
            let or_dropped = if background
                .iter()
                .all(|level| f64::from(*level) <= TOLERANCE)
            {
                ", or is premultiplied and has lost its alpha"
            } else {
                ""
            };
            wrongs.push((
                format!(
                    "alpha is lost: the picture was put over {}{or_dropped}",
                    Hex(background)
                ),
                "capture it before it is mixed, in a format with alpha; or if this is to be the \
                 mix, say what it is put over with --background",
            ));
        }
        match treatment {
            Treatment::Straight | Treatment::Premultiplied => {}
            Treatment::Twice => wrongs.push((
                "colour was multiplied by alpha twice: what is half transparent is too dark".into(),
                "premultiplied frames were mixed as straight ones: send --alpha straight, or set \
                 the mixer to premultiplied (ffmpeg's overlay=alpha=premultiplied)",
            )),
            Treatment::Unmultiplied => wrongs.push((
                "colour was not multiplied by alpha: what is half transparent is too bright".into(),
                "straight frames were mixed as premultiplied ones: send --alpha premultiplied, or \
                 set the mixer to straight",
            )),
        }
        wrongs
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = self.verdict;
        writeln!(f, "size     {}", self.decoded.size)?;
        writeln!(f, "format   {}", self.decoded.format)?;
        writeln!(f, "frame    {}", verdict.number)?;
        writeln!(f, "alpha    {}", self.alpha())?;
        let (colours, off) = (verdict.colours, verdict.colour_error);
        write!(f, "colours  {colours}: at most {off:.1} levels off; ")?;
        let (next, off) = verdict.next;
        writeln!(f, "next best {next}: {off:.1}")?;
        let wrongs = self.wrongs();
        for (wrong, hint) in &wrongs {
            writeln!(f, "wrong    {wrong}\nhint     {hint}")?;
        }
        if wrongs.is_empty() {
            writeln!(f, "verdict  as it was drawn")?;
        }
        writeln!(
            f,
            "\npatch       expected           got                levels off"
        )?;
        let colour = |[r, g, b, a]: [u8; 4]| format!("{r:3} {g:3} {b:3} {a:3}");
        for reading in &verdict.readings {
            let (expected, got) = (colour(reading.expected), colour(reading.got));
            let (name, error) = (reading.name, reading.error);
            writeln!(f, "{name:12}{expected}    {got}    {error:5.1}")?;
        }
        Ok(())
    }
}

/// A colour as it is written.
struct Hex([u8; 3]);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([r, g, b]) = self;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}
