use super::*;

#[test]
fn who_waits_for_room_is_woken_when_half_of_it_is_free() {
    let mut state = State { waiting: WAITING + FRAME, crowd: 1, ..State::default() };
    let woken: Vec<bool> = (0..WAITING / FRAME + 1).map(|_| state.wrote(FRAME)).collect();
    let (asleep, awake) = woken.split_at(PART / FRAME);
    assert!(!asleep.contains(&true) && !awake.contains(&false), "{woken:?}");
    assert_eq!((state.waiting, state.written), (0, (WAITING + FRAME) as u64));
    let mut state = State { waiting: WAITING, ..State::default() };
    assert!(!state.wrote(WAITING), "nobody waits");
}

#[test]
fn where_a_write_cannot_but_wait_the_thread_writes() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let (outgoing, writing) = Outgoing::start(ours.into(), None, None).unwrap();
    outgoing.multiplex();
    // Writes to terminals wait for as long as they take.
    let terminal = std::fs::File::options().read(true).write(true).open("/dev/ptmx").unwrap();
    let direct = Direct::new(terminal.into(), outgoing.alarm().unwrap(), outgoing.pulse());
    assert!(!direct.is_possible());
    outgoing.shared.lock().direct = Some(Arc::new(direct));
    outgoing.message(Tag::Info, b"before");
    outgoing.send(&[7; 3 * FRAME]).unwrap();
    assert!(outgoing.shared.lock().direct.is_none());
    writing.finish().unwrap();
    assert_eq!(outgoing.written(), (4 * HEADER + 6 + 3 * FRAME) as u64);
    drop(outgoing);
    let mut read = Vec::new();
    io::Read::read_to_end(&mut theirs, &mut read).unwrap();
    assert_eq!((read.len(), &read[HEADER..HEADER + 6]), (4 * HEADER + 6 + 3 * FRAME, &b"before"[..]));
}

#[test]
fn data_goes_into_the_frame_before_it() {
    let lens = |state: &State| {
        let (mut lens, mut rest) = (Vec::new(), &state.frames[..]);
        while let Some(([a, b, c, tag], behind)) = rest.split_first_chunk() {
            let len = u32::from_le_bytes([*a, *b, *c, 0]) as usize;
            lens.push((*tag - BASE, len));
            rest = &behind[len..];
        }
        lens
    };
    let mut state = State::default();
    state.add(None, b"bare");
    assert_eq!((&std::mem::take(&mut state.frames)[..], state.waiting), (&b"bare"[..], 4));
    let data = Some(Tag::Data);
    for (tag, len) in
        [(data, 3), (data, FRAME - 3), (data, 1), (data, FRAME), (Some(Tag::Info), 2), (data, 5), (data, 6)]
    {
        state.add(tag, &vec![7; len]);
    }
    let expected = [(0, FRAME), (0, 1), (0, FRAME), (Tag::Info.code(), 2), (0, 11)];
    assert_eq!(lens(&state), expected);
    assert_eq!(state.waiting, 4 + state.frames.len());
    // What keeps alive is a frame of its own.
    state.add(data, b"");
    assert_eq!(lens(&state).last(), Some(&(0, 0)));
    state.drop_frames();
    state.add(data, b"later");
    assert_eq!(lens(&state), [(0, 5)]);
}
