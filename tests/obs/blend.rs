//! What a picture with straight alpha looks like over a background in OBS.

use image::{Rgb, RgbImage, Rgba, RgbaImage};

/// How a scene's item is blended, by OBS's menu "Blending Method".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blend {
    /// Colour is multiplied with alpha as it is encoded, and added in linear light.
    Default,
    /// All of it as it is encoded: a web page's look.
    SrgbOff,
}

impl Blend {
    pub(crate) const ALL: [Self; 2] = [Self::Default, Self::SrgbOff];

    /// The name of the scene whose media is blended so.
    pub(crate) fn scene(self) -> &'static str {
        match self {
            Self::Default => "Blending method: default",
            Self::SrgbOff => "Blending method: sRGB off",
        }
    }

    /// What it is in a scene collection.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::SrgbOff => "srgb_off",
        }
    }

    /// One channel of a colour with an alpha over a background, all 0 to 255.
    fn channel(self, color: u8, alpha: u8, background: u8) -> u8 {
        let [color, alpha, background] = [color, alpha, background].map(|v| f32::from(v) / 255.0);
        let blended = match self {
            Self::Default => encoded(linear(color * alpha) + (1.0 - alpha) * linear(background)),
            Self::SrgbOff => color * alpha + (1.0 - alpha) * background,
        };
        level(blended)
    }

    pub(crate) fn pixel(self, over: Rgba<u8>, background: Rgb<u8>) -> Rgb<u8> {
        let [red, green, blue, alpha] = over.0;
        let mut blended = background;
        if alpha == 0 {
            return blended;
        }
        for (below, color) in blended.0.iter_mut().zip([red, green, blue]) {
            *below = self.channel(color, alpha, *below);
        }
        blended
    }

    /// A whole picture over a plain background.
    pub(crate) fn picture(self, over: &RgbaImage, background: Rgb<u8>) -> RgbImage {
        RgbImage::from_fn(over.width(), over.height(), |x, y| {
            self.pixel(*over.get_pixel(x, y), background)
        })
    }
}

/// What an encoded value of 0 to 1 is in linear light (IEC 61966-2-1).
fn linear(encoded: f32) -> f32 {
    if encoded <= 0.04045 {
        encoded / 12.92
    } else {
        ((encoded + 0.055) / 1.055).powf(2.4)
    }
}

/// The opposite.
fn encoded(linear: f32) -> f32 {
    if linear <= 0.003_130_8 {
        linear * 12.92
    } else {
        1.055 * linear.powf(1.0 / 2.4) - 0.055
    }
}

/// The nearest level of 0 to 255.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a level is no more than 255 and not negative"
)]
fn level(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0).round() as u8
}
