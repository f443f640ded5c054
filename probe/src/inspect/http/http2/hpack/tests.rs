use super::*;

type Fields = Vec<(FieldName, String)>;

fn decode(decoder: &mut BlockDecoder, block: &[u8]) -> Result<Fields, BlockError> {
    let mut fields = Vec::new();
    decoder.decode(block, |name, value| {
        fields.push((name, String::from_utf8_lossy(value).into_owned()));
    })?;
    Ok(fields)
}

/// Octets written in hexadecimal.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let octets = digits.chunks(2).map(|two| two.iter().collect::<String>());
    octets
        .map(|octet| u8::from_str_radix(&octet, 16).unwrap())
        .collect()
}

fn literal(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    let mut block = vec![0x40, length(name)];
    block.extend(name.bytes());
    block.push(length(value));
    block.extend(value.bytes());
    block
}

/// The examples of RFC 7541, C.3 (plain) and C.4 (Huffman): three requests on one connection.
#[test]
fn requests_of_the_specification_are_decoded() {
    for blocks in [
        [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ],
        [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ],
    ] {
        let mut decoder = BlockDecoder::default();
        for (block, path) in blocks.iter().zip(["/", "/", "/index.html"]) {
            let fields = decode(&mut decoder, &hex(block)).unwrap();
            let wanted = [
                (FieldName::Method, "GET"),
                (FieldName::Path, path),
                (FieldName::Authority, "www.example.com"),
            ];
            assert_eq!(fields, wanted.map(|(name, value)| (name, value.to_owned())));
        }
        assert_eq!(decoder.table.get(0).unwrap().1.octets(), 54);
        assert_eq!(decoder.table.get(2).unwrap().1.octets(), 57);
        assert_eq!(decoder.table.get(3), None);
    }
}

/// The responses of RFC 7541, C.6: the table has room for 256 octets, so entries are removed.
#[test]
fn responses_of_the_specification_are_decoded() {
    let mut decoder = BlockDecoder::default();
    decoder.table.set_max_size(256);
    let blocks = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e \
         919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
    ];
    for (block, status) in blocks.iter().zip(["302", "307"]) {
        let fields = decode(&mut decoder, &hex(block)).unwrap();
        assert_eq!(fields, [(FieldName::Status, status.to_owned())]);
    }
    // 307, private, the date, and the location.
    let sizes: Vec<usize> = (0..)
        .map_while(|number| decoder.table.get(number))
        .map(|(_, size, _)| size.octets())
        .collect();
    assert_eq!(sizes, [42, 63, 65, 52]);
}

#[test]
fn values_of_other_fields_are_not_kept() {
    let mut decoder = BlockDecoder::default();
    let secret = literal("authorization", "secret");
    assert_eq!(decode(&mut decoder, &secret), Ok(Vec::new()));
    let (name, size, value) = decoder.table.get(0).unwrap();
    assert_eq!((name, size.value, value), (FieldName::Other, 6, &b""[..]));
    assert_eq!(decode(&mut decoder, &[0xbe]), Ok(Vec::new()));
    // A name that begins like another one.
    assert_eq!(
        decode(&mut decoder, &literal("content-typed", "a")),
        Ok(Vec::new())
    );
}

#[test]
fn a_size_update_removes_entries_and_has_a_limit() {
    let mut decoder = BlockDecoder::default();
    decode(&mut decoder, &literal("grpc-status", "0")).unwrap();
    let known = vec![(FieldName::GrpcStatus, "0".to_owned())];
    assert_eq!(decode(&mut decoder, &[0xbe]), Ok(known));
    // 0, then 65,536.
    assert_eq!(
        decode(&mut decoder, &[0x20, 0x3f, 0xe1, 0xff, 0x03]),
        Ok(Vec::new())
    );
    assert_eq!(decode(&mut decoder, &[0xbe]), Err(BlockError::Invalid));
    let beyond = decode(&mut BlockDecoder::default(), &[0x3f, 0xe2, 0xff, 0x03]);
    assert_eq!(beyond, Err(BlockError::TableTooLarge));
    // Behind a field.
    assert_eq!(
        decode(&mut decoder, &[0x82, 0x20]),
        Err(BlockError::Invalid)
    );
}

#[test]
fn the_uncompressed_size_of_a_block_is_bounded() {
    let mut decoder = BlockDecoder::default();
    decode(&mut decoder, &literal("a", &"x".repeat(120))).unwrap();
    let fields = MAX_LIST / (1 + 120 + 32);
    assert!(decode(&mut decoder, &vec![0xbe; fields]).is_ok());
    let more = decode(&mut decoder, &vec![0xbe; fields + 1]);
    assert_eq!(more, Err(BlockError::TooLong));
}

#[test]
fn blocks_that_end_early_or_refer_to_nothing_are_invalid() {
    let block = literal("grpc-status", "13");
    for end in 1..block.len() {
        let found = decode(&mut BlockDecoder::default(), &block[..end]);
        assert_eq!(found, Err(BlockError::Invalid), "{end}");
    }
    for invalid in [
        &[0x80][..],
        &[0xbe],
        &[0x7f],
        &[0xff; 7],
        &[0x00, 0x7f, 0xff],
    ] {
        let found = decode(&mut BlockDecoder::default(), invalid);
        assert_eq!(found, Err(BlockError::Invalid), "{invalid:02x?}");
    }
}

#[test]
fn integers_have_up_to_five_octets_behind_their_prefix() {
    let read = |octets: &[u8], prefix| integer(&mut Reader(octets), prefix);
    assert_eq!(read(&[0xea], 5), Some(10));
    assert_eq!(read(&[0x1f, 0x9a, 0x0a], 5), Some(1337));
    assert_eq!(read(&[0x2a], 8), Some(42));
    assert_eq!(
        read(&[0xff, 0x80, 0x80, 0x80, 0x80, 0x0f], 8),
        Some(4_026_532_095)
    );
    for invalid in [
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0x7f][..],
        &[0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0],
        &[0xff],
    ] {
        assert_eq!(read(invalid, 8), None, "{invalid:02x?}");
    }
}
