//! Packets: their bytes, and what comes with them.

use std::ffi::c_int;

use ffmpeg_next::{Error, Packet, ffi};

/// Leaves a packet's first bytes out, at most all of them.
pub(in crate::burn_in) fn skip(packet: &mut Packet, bytes: usize) {
    use ffmpeg_next::packet::Mut as _;
    let bytes = bytes.min(packet.size());
    let Ok(count) = c_int::try_from(bytes) else {
        return;
    };
    // SAFETY: the packet has at least as many bytes; it owns its memory by another pointer.
    unsafe {
        let packet = packet.as_mut_ptr();
        (*packet).data = (*packet).data.add(bytes);
        (*packet).size -= count;
    }
}

/// Puts bytes before those of a packet.
///
/// # Errors
/// There is no memory.
pub(in crate::burn_in) fn prepend(packet: &mut Packet, bytes: &[u8]) -> Result<(), Error> {
    use ffmpeg_next::packet::{Mut as _, Ref as _};
    let whole = [bytes, packet.data().unwrap_or_default()].concat();
    let mut longer = Packet::copy(&whole);
    // SAFETY: both are packets; what the new one's properties were is freed.
    let copied = unsafe { ffi::av_packet_copy_props(longer.as_mut_ptr(), packet.as_ptr()) };
    if copied < 0 {
        return Err(Error::from(copied));
    }
    longer.set_stream(packet.stream());
    *packet = longer;
    Ok(())
}

/// The `stream_id` of the PES packet that a packet came in, or is to be in.
pub(in crate::burn_in) fn stream_id_mut(packet: &mut Packet) -> Option<&mut u8> {
    use ffmpeg_next::packet::Mut as _;
    let kind = ffi::AVPacketSideDataType::AV_PKT_DATA_MPEGTS_STREAM_ID;
    let mut size = 0;
    // SAFETY: the packet is borrowed for as long as what it owns is, which is a byte at least.
    unsafe {
        let data = ffi::av_packet_get_side_data(packet.as_mut_ptr(), kind, &raw mut size);
        if size == 0 { None } else { data.as_mut() }
    }
}
