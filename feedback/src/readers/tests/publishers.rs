//! One test a publisher: files as its documents describe them.

use super::*;

#[test]
fn movietweetings_has_no_change() {
    let folder = folder(&[
        ("ratings.dat", b"10::01::5::300\n2::02::8::100\n2::02::8::100\n\n10::02::6::300\n"),
        ("movies.dat", "02::Café: A::B (1999)::Sci-Fi|Drama\n01::No year::\n02::Again (2000)::Drama\n".as_bytes()),
    ]);
    let spec = DataSpec { path: folder.path().display().to_string(), ..DataSpec::default() };
    let data = read(&spec, NOW).unwrap();
    assert_eq!(data.users, ["2", "10"]);
    assert_eq!(
        items(&data),
        [("02", "Café: A::B", Some(1999), vec!["Sci-Fi", "Drama"]), ("01", "No year", None, vec![])]
    );
    assert_eq!(events(&data), [("2", "02", 100, Positive), ("10", "02", 300, Neutral), ("10", "01", 300, Negative)]);
    assert_eq!(data.dropped.to_string(), "dropped 1 duplicate items, 1 duplicate ratings");
    let first = read(&DataSpec { max_users: 1, ..spec }, NOW).unwrap();
    assert_eq!((first.users.len(), first.dropped.users_over_limit, first.dropped.ratings_over_limit), (1, 1, 2));
}

#[test]
fn movielens_in_its_three_layouts() {
    let expected =
        [("1", "9", 880_000_000, Negative), ("2", "9", 880_000_100, Positive), ("2", "3", 880_000_200, Neutral)];
    let e_acute = 0xe9;
    let title =
        [b"9|Caf", &[e_acute][..], b" (1995)|01-Jan-1995||http://x|0|0|1|0|0|0|0|0|1|0|0|0|0|0|0|0|0|0|0\n"].concat();
    let other = b"3|Babe (1995)|01-Jan-1995||http://y|0|0|0|0|1|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n".to_vec();
    let small = folder(&[
        ("u.data", b"1\t9\t1\t880000000\n2\t9\t5\t880000100\n2\t3\t3\t880000200\n"),
        ("u.item", &[title, other].concat()),
    ]);
    let data = read_stars(Source::MovieLens, &small);
    assert_eq!(events(&data), expected);
    assert_eq!(
        items(&data),
        [("9", "Café", Some(1995), vec!["Adventure", "Drama"]), ("3", "Babe", Some(1995), vec!["Children's"])]
    );

    let million = folder(&[
        ("ratings.dat", b"1::9::1::880000000\n2::9::5::880000100\n2::3::3::880000200\n"),
        (
            "movies.dat",
            &[b"9::Caf", &[e_acute][..], b" (1995)::Adventure|Drama\n3::Babe (1995)::Children's\n"].concat(),
        ),
        ("users.dat", b"1::F::1::10::48067\n"),
    ]);
    let again = read_stars(Source::MovieLens, &million);
    assert_eq!((events(&again), items(&again)), (events(&data), items(&data)));

    let large = folder(&[
        ("ratings.csv", b"userId,movieId,rating,timestamp\n1,9,1.5,880000000\n2,9,5.0,880000100\n2,3,3.0,880000200\n"),
        ("movies.csv", "movieId,title,genres\n9,\"Café, \"\"A\"\" (1995)\",Adventure|Drama\n3,Babe,(no genres listed)\n7,Unseen (2001),War\n".as_bytes()),
    ]);
    let data = read_stars(Source::MovieLens, &large);
    assert_eq!(events(&data), expected);
    assert_eq!(
        items(&data),
        [("9", "Café, \"A\"", Some(1995), vec!["Adventure", "Drama"]), ("3", "Babe", None, vec![])]
    );
    assert_eq!(data.dropped.to_string(), "dropped 1 items without events");
}

#[test]
fn recbole_names_columns_with_their_types() {
    let folder = folder(&[
        ("ml.inter", b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n7\t242\t1\t881250950\n"),
        ("ml.item", b"item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n242\tKolya\t1996\tComedy Drama\n"),
    ]);
    let data = read_stars(Source::RecBole, &folder);
    assert_eq!(events(&data), [("196", "242", 881_250_949, Neutral), ("7", "242", 881_250_950, Negative)]);
    assert_eq!(items(&data), [("242", "Kolya", Some(1996), vec!["Comedy", "Drama"])]);
}

#[test]
fn amazon_of_2014_prints_python() {
    let meta = gzip(
        b"{'asin': 'B01', 'title': \"Men's soap\", 'categories': [['Beauty', 'Bath'], ['Beauty']], 'price': 3.5}\n",
    );
    let rows = b"A1,B01,5.0,1369699200\nA2,B01,1.0,1355443200\n";
    let ratings = folder(&[("ratings_Beauty.csv", rows), ("meta_Beauty.json.gz", &meta)]);
    let data = read_stars(Source::Amazon2014, &ratings);
    assert_eq!(events(&data), [("A2", "B01", 1_355_443_200, Negative), ("A1", "B01", 1_369_699_200, Positive)]);
    assert_eq!(items(&data), [("B01", "Men's soap", None, vec!["Beauty", "Bath"])]);
    let lines = b"{\"reviewerID\": \"A1\", \"asin\": \"B01\", \"overall\": 5.0, \"unixReviewTime\": 1369699200}\n\
                  {\"reviewerID\": \"A2\", \"asin\": \"B01\", \"overall\": 1.0, \"unixReviewTime\": 1355443200}\n";
    let reviews = folder(&[("reviews_Beauty_5.json.gz", &gzip(lines)), ("meta_Beauty.json.gz", &meta)]);
    let again = read_stars(Source::Amazon2014, &reviews);
    assert_eq!((&again.events, &again.items), (&data.events, &data.items));
}

#[test]
fn amazon_of_2018_has_the_item_first() {
    let meta = gzip(b"{\"asin\": \"B01\", \"title\": \"Soap\", \"category\": [\"Beauty\"]}\n");
    let ratings = folder(&[("Beauty.csv", b"B01,A1,5.0,1369699200\n"), ("meta_Beauty.json.gz", &meta)]);
    let data = read_stars(Source::Amazon2018, &ratings);
    assert_eq!(events(&data), [("A1", "B01", 1_369_699_200, Positive)]);
    assert_eq!(items(&data), [("B01", "Soap", None, vec!["Beauty"])]);
    let line = b"{\"overall\": 5.0, \"reviewerID\": \"A1\", \"asin\": \"B01\", \"unixReviewTime\": 1369699200}\n";
    let reviews = folder(&[("Magazines.json.gz", &gzip(line)), ("meta_Magazines.json.gz", &meta)]);
    let again = read_stars(Source::Amazon2018, &reviews);
    assert_eq!((&again.events, &again.items), (&data.events, &data.items));
}

#[test]
fn amazon_of_2023_counts_milliseconds_and_names_parents() {
    let line = b"{\"rating\": 1.0, \"asin\": \"B0X\", \"parent_asin\": \"B0P\", \"user_id\": \"AG\", \"timestamp\": 1588687728923}\n";
    let meta =
        b"{\"main_category\": \"All Beauty\", \"title\": \"Scrub\", \"parent_asin\": \"B0P\", \"categories\": []}\n";
    let reviews = folder(&[("All_Beauty.jsonl.gz", &gzip(line)), ("meta_All_Beauty.jsonl", meta)]);
    let data = read_stars(Source::Amazon2023, &reviews);
    assert_eq!(events(&data), [("AG", "B0P", 1_588_687_728, Negative)]);
    assert_eq!(items(&data), [("B0P", "Scrub", None, vec!["All Beauty"])]);
    let rows = b"user_id,parent_asin,rating,timestamp\nAG,B0P,1.0,1588687728923\n";
    let ratings = folder(&[("All_Beauty.csv.gz", &gzip(rows))]);
    assert_eq!(events(&read_stars(Source::Amazon2023, &ratings)), events(&data));
}

#[test]
fn kuairand_marks_hate_and_gathers_what_is_said_of_videos() {
    let header = "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,\
                  play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab\n";
    let row = |user, video, time, like, hate, long| {
        format!("{user},{video},20220408,1200,{time},1,{like},0,0,0,{hate},{long},1,2,0,0,0,0,1\n")
    };
    let one = [header, &row(0, 11, 1_649_400_000_123_i64, 0, 1, 0), &row(0, 12, 1_649_400_001_000, 1, 0, 0)].concat();
    let two = [header, &row(1, 12, 1_650_700_000_000, 0, 0, 0), &row(1, 11, 1_650_700_001_000, 0, 0, 1)].concat();
    let basic = "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,server_height,\
                 music_id,music_type,tag\n11,441,NORMAL,2020-07-08,ShortImport,1,17200.0,720,1280,9,4,\"12,65\"\n12,7,AD,2022-01-02,X,1,1.0,1,1,1,1,\n";
    let captions = "final_video_id,caption,show_cover_text,duration\n11,猫,UNKNOWN,17\n99,other,,1\n";
    let categories = "final_video_id,first_level_category_id,first_level_category_name,second_level_category_name\n11,1,Animals,Cats\n";
    let folder = folder(&[
        ("data/log_standard_4_08_to_4_21_1k.csv", one.as_bytes()),
        ("data/log_standard_4_22_to_5_08_1k.csv", two.as_bytes()),
        ("data/video_features_basic_1k.csv", basic.as_bytes()),
        ("kuairand_video_captions.csv", captions.as_bytes()),
        ("kuairand_video_categories.csv", categories.as_bytes()),
    ]);
    let data = read_stars(Source::KuaiRand, &folder);
    let signs: Vec<_> = events(&data).into_iter().map(|(user, item, _, sign)| (user, item, sign)).collect();
    assert_eq!(signs, [("0", "11", Negative), ("0", "12", Positive), ("1", "12", Neutral), ("1", "11", Positive)]);
    assert_eq!(data.events[0].time, 1_649_400_000);
    assert_eq!(
        items(&data),
        [
            ("11", "猫", Some(2020), vec!["Animals", "Cats", "12", "65", "author 441"]),
            ("12", "12", Some(2022), vec!["author 7"]),
        ]
    );
}

#[test]
fn yambda_has_a_file_for_each_feeling() {
    let of = |uid: Vec<u32>, item: Vec<u32>, time: Vec<u32>| {
        parquet(vec![
            ("uid", Arc::new(UInt32Array::from(uid))),
            ("timestamp", Arc::new(UInt32Array::from(time))),
            ("item_id", Arc::new(UInt32Array::from(item))),
        ])
    };
    let artists = parquet(vec![
        ("artist_id", Arc::new(UInt32Array::from(vec![5, 6, 7]))),
        ("item_id", Arc::new(UInt32Array::from(vec![1, 1, 9]))),
    ]);
    let folder = folder(&[
        ("flat/50m/dislikes.parquet", &of(vec![100], vec![1], vec![500])),
        ("flat/50m/likes.parquet", &of(vec![100], vec![2], vec![400])),
        ("flat/50m/listens.parquet", &of(vec![200], vec![1], vec![0])),
        // What is taken back stays as it was said, and is one more event without a sign.
        ("flat/50m/undislikes.parquet", &of(vec![100], vec![1], vec![600])),
        ("flat/50m/unlikes.parquet", &of(vec![100], vec![2], vec![700])),
        ("artist_item_mapping.parquet", &artists),
    ]);
    let spec = stars(Source::Yambda, &folder);
    let data = read(&DataSpec { path: folder.path().join("flat/50m").display().to_string(), ..spec }, NOW).unwrap();
    let expected = [
        ("200", "1", 0, Neutral),
        ("100", "2", 400, Positive),
        ("100", "1", 500, Negative),
        ("100", "1", 600, Neutral),
        ("100", "2", 700, Neutral),
    ];
    assert_eq!(events(&data), expected);
    assert_eq!(items(&data)[0], ("1", "1", None, vec!["artist 5", "artist 6"]));
    assert_eq!(data.dropped.unlisted_items, 1);
}

#[test]
fn yambda_may_have_all_feelings_in_one_file() {
    let kinds = ["listen", "like", "dislike", "undislike", "unlike"];
    let count = kinds.len() as u32;
    let all = parquet(vec![
        ("uid", Arc::new(UInt32Array::from(vec![100; kinds.len()]))),
        ("timestamp", Arc::new(UInt32Array::from_iter_values(0..count))),
        ("item_id", Arc::new(UInt32Array::from_iter_values(10..10 + count))),
        ("event_type", Arc::new(arrow_array::StringArray::from(kinds.to_vec()))),
    ]);
    let data = read_stars(Source::Yambda, &folder(&[("multi_event.parquet", &all)]));
    let signs: Vec<Sign> = data.events.iter().map(|e| e.sign).collect();
    assert_eq!(signs, [Neutral, Positive, Negative, Neutral, Neutral]);
}

#[test]
fn vk_lsvd_spreads_the_rows_of_a_week_over_it() {
    let week = |dislike: Vec<u8>, like: Vec<u8>| {
        let rows = dislike.len();
        let zeros = || Arc::new(UInt8Array::from(vec![0; rows])) as ArrayRef;
        parquet(vec![
            ("user_id", Arc::new(UInt32Array::from(vec![7; rows]))),
            ("item_id", Arc::new(UInt32Array::from_iter_values(0..rows as u32))),
            ("like", Arc::new(UInt8Array::from(like))),
            ("dislike", Arc::new(UInt8Array::from(dislike))),
            ("share", zeros()),
            ("bookmark", zeros()),
        ])
    };
    let folder = folder(&[
        ("train/week_00.parquet", &week(vec![0, 1], vec![1, 0])),
        ("validation/week_25.parquet", &week(vec![0], vec![0])),
        ("train/week_x.parquet", b"not read"),
    ]);
    let data = read_stars(Source::VkLsvd, &folder);
    let start = 1_735_516_800;
    assert_eq!(
        events(&data),
        [
            ("7", "0", start, Positive),
            ("7", "1", start + 7 * 43_200, Negative),
            ("7", "0", start + 25 * 604_800, Neutral),
        ]
    );
}

#[test]
fn steam_lists_the_reviews_of_each_user() {
    let reviews = "{'user_id': 'js41637', 'user_url': u'http://x', 'reviews': [{'funny': '', 'posted': 'Posted June 24, 2014.', \
                   'item_id': '251610', 'recommend': True, 'review': \"I know what you think\"}, {'posted': 'Posted July 5, 2013.', \
                   'item_id': '227300', 'recommend': False, 'review': ''}]}\n{'user_id': 'none', 'reviews': []}\n";
    let games = "{u'publisher': u'K', u'genres': [u'Action', u'Indie'], u'app_name': u'Bars', u'release_date': u'2014-01-04', u'tags': [u'Action'], u'id': u'251610'}\n";
    let folder = folder(&[
        ("australian_user_reviews.json.gz", &gzip(reviews.as_bytes())),
        ("steam_games.json.gz", &gzip(games.as_bytes())),
    ]);
    let data = read_stars(Source::Steam, &folder);
    assert_eq!(
        events(&data),
        [("js41637", "227300", 1_372_982_400, Negative), ("js41637", "251610", 1_403_568_000, Positive)]
    );
    assert_eq!(items(&data)[0], ("251610", "Bars", Some(2014), vec!["Action", "Indie"]));
}

/// Pages show no year where it is the present one: it is the one after the last that they show.
#[test]
fn steam_reviews_without_a_year_are_of_the_year_after_the_last() {
    let review = |day: &str, game: u32| {
        format!("{{'posted': 'Posted {day}.', 'item_id': '{game}', 'recommend': False, 'review': ''}}")
    };
    let lines = [
        format!("{{'user_id': 'a', 'reviews': [{}, {}]}}\n", review("March 3", 1), review("December 31, 2015", 2)),
        format!("{{'user_id': 'b', 'reviews': [{}, {}]}}\n", review("February 29", 3), review("May 1, 2012", 4)),
    ];
    let folder = folder(&[("australian_user_reviews.json", lines.concat().as_bytes())]);
    let data = read_stars(Source::Steam, &folder);
    let times: Vec<_> = events(&data).into_iter().map(|(_, item, time, _)| (item, time)).collect();
    let expected = [("4", 1_335_830_400), ("2", 1_451_520_000), ("3", 1_456_704_000), ("1", 1_456_963_200)];
    assert_eq!(times, expected);
    assert_eq!(data.dropped.malformed_lines, 0);
    let only = format!("{{'user_id': 'a', 'reviews': [{}]}}\n", review("March 3", 1));
    let folder = super::folder(&[("australian_user_reviews.json", only.as_bytes())]);
    let error = read(&stars(Source::Steam, &folder), NOW).unwrap_err().to_string();
    assert!(error.contains("no row of the file names a year"), "{error}");
}
