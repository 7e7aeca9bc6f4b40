"""Cards of the Amazon datasets: same names, different years and cuts, so each cut has its own."""

from benchmarks.datasets.amazon2023 import CATEGORIES, REPOSITORY, REVISION
from benchmarks.datasets.card import DATA_VARIABLE, DatasetCard, Expected, Option

_NO_LICENCE = "no formal licence; offered for research; product texts belong to the vendors"
_AS_GIVEN = "as given in the file; no timestamps"
_2014 = "Amazon product reviews 2014 (McAuley et al. 2015), 5-core"
_2018 = "Amazon review data 2018 (Ni, Li, McAuley 2019), 5-core"
_COUNTED = "TIGER (arXiv 2305.05065), and the number of reviews in McAuley's 5-core"
_BEAUTY = Expected(22_363, 12_101, 198_502, _COUNTED)
_SPORTS = Expected(35_598, 18_357, 296_337, _COUNTED)
_TOYS = Expected(19_412, 11_924, 167_597, _COUNTED)
# Its table counts a user more than the Instruments of this layout have, so none of it is exact.
_TABLE = "table II of LC-Rec (arXiv 2311.09049), which is off by one"
_PAGE_2014 = "https://cseweb.ucsd.edu/~jmcauley/datasets/amazon/links.html"
_LC_REC = "https://github.com/RUCAIBox/LC-Rec"
_MQL4GREC = "https://github.com/zhaijianyang/MQL4GRec"
_LETTER = "https://github.com/HonghuiBao2000/LETTER"
_COLLISION = "https://github.com/Nishikata97/CollisionGenRec"
_TRANSREC = "https://github.com/Linxyhaha/TransRec"
_S3_REC = "https://github.com/RUCAIBox/CIKM2020-S3Rec"


def _linked(address: str) -> str:
    """Where the files of a repository lie whose README links them."""
    return f"the README of {address} links the folder they lie in"


def _unpublished(name: str) -> str:
    """What to do where nobody publishes this layout."""
    return (
        f"nobody is known to publish it in this layout; {_S3_REC} has its sequences, {_PAGE_2014}"
        f" reviews and texts, which dataset amazon-2014-{name} reads as they are"
    )


def _folder(
    name: str,
    stem: str,
    title: str,
    source: str,
    where: str,
    addresses: tuple[str, ...],
    texts: str = "title, description, brand, categories as given",
    expected: Expected | None = None,
) -> DatasetCard:
    """A card for a folder of LC-Rec's layout that the user brings; `where` says where it lies."""
    return DatasetCard(
        name=name,
        title=title,
        source=source,
        licence=_NO_LICENCE,
        obtain=f"put {stem}.inter.json and {stem}.item.json (and {stem}.index.json for the"
        f" published Semantic IDs) into a folder {name} and name the folder above it with"
        f" {DATA_VARIABLE}: {where}",
        addresses=addresses,
        order=_AS_GIVEN,
        texts=texts,
        layout="lcrec",
        stem=stem,
        asset=None,
        get=f"{stem}.inter.json, {stem}.item.json",
        expected=expected,
    )


def _reviews_2014(name: str, category: str, title: str, expected: Expected) -> DatasetCard:
    """A card for a category of McAuley's own files of 2014."""
    files = f"reviews_{category}_5.json.gz and meta_{category}.json.gz"
    return DatasetCard(
        name=f"amazon-2014-{name}",
        title=f"{title}, 2014, 5-core, from McAuley's own files",
        source=_2014 + "; read from the reviews and metadata themselves",
        licence=_NO_LICENCE,
        obtain=f"fetch {files} from the page of the 2014 data"
        f" ({_PAGE_2014}) into a folder"
        f" amazon-2014-{name} and name the folder above it with {DATA_VARIABLE}",
        addresses=(_PAGE_2014,),
        order='by day of the review; one day\'s by sha256("<user>\\t<item>"); every review counts,'
        " whatever its stars",
        texts="title, description, brand; categories: the first path, from the widest to the"
        " narrowest",
        layout="amazon-2014",
        stem=category,
        asset=None,
        get=files.replace(" and ", ", "),
        expected=expected,
    )


def _category_2023(category: str) -> DatasetCard:
    """A card for a category of Amazon Reviews 2023."""
    name = f"amazon-2023-{category.lower().replace('_', '-')}"
    return DatasetCard(
        name=name,
        title=f"Amazon Reviews 2023, {category.replace('_', ' ')}",
        source=f"Amazon Reviews 2023 (Hou et al. 2024, arXiv 2403.03952), {REPOSITORY} at commit"
        f" {REVISION}",
        licence=_NO_LICENCE,
        obtain="`gti-bench prepare` fetches it from the hub (large: the metadata of a category is"
        f" 0.1 to 12 GB); or put {category}.csv (the 0-core, rating only) and"
        f" meta_{category}.jsonl, packed with gzip or not, into a folder {name} and name the"
        f" folder above it with {DATA_VARIABLE}",
        addresses=(f"https://huggingface.co/datasets/{REPOSITORY}",),
        order='by timestamp (milliseconds); equal ones by sha256("<user>\\t<item>"); every rating'
        " counts, whatever its stars; the publishers keep one of a user's ratings of a product",
        texts="title; description, or the bullet points where there is none; brand from store;"
        " categories from the widest to the narrowest",
        layout="amazon-2023",
        stem=category,
        asset=None,
        get="fetched by `prepare` (needs the extra `data`)",
        options=(Option("k_core", "least interactions of each user and item that stays", least=1),),
        listed=({"k_core": 5},),
    )


AMAZON_CARDS = (
    _folder(
        "beauty",
        "Beauty",
        "Amazon Beauty, 2014, 5-core (12,101 items)",
        "Amazon product reviews 2014 (McAuley et al. 2015); the sequences that S3-Rec,"
        " P5, TIGER and LETTER use; index: LETTER's",
        f"{_LETTER} has interactions and index in data/Beauty; the shipped settings' titles and"
        f" categories are those of {_TRANSREC}, data/beauty/rec_data, whose item numbers are"
        " others: match the two sequence files place by place",
        (_LETTER, _TRANSREC),
        "title and categories as given; no descriptions or brands in this cut",
        expected=_BEAUTY,
    ),
    _folder(
        "sports",
        "Sports",
        "Amazon Sports and Outdoors, 2014, 5-core (18,357 items)",
        _2014 + "; the sequences that S3-Rec, P5 and TIGER use",
        _unpublished("sports"),
        (_S3_REC, _PAGE_2014),
        expected=_SPORTS,
    ),
    _folder(
        "toys",
        "Toys",
        "Amazon Toys and Games, 2014, 5-core (11,924 items)",
        _2014 + "; the sequences that S3-Rec, P5 and TIGER use",
        _unpublished("toys"),
        (_S3_REC, _PAGE_2014),
        expected=_TOYS,
    ),
    _reviews_2014("beauty", "Beauty", "Amazon Beauty", _BEAUTY),
    _reviews_2014("sports", "Sports_and_Outdoors", "Amazon Sports and Outdoors", _SPORTS),
    _reviews_2014("toys", "Toys_and_Games", "Amazon Toys and Games", _TOYS),
    _folder(
        "instruments",
        "Instruments",
        "Amazon Musical Instruments, 2018, LC-Rec's cut",
        _2018 + "; files of LC-Rec (LETTER ships the same layout)",
        _linked(_LC_REC),
        (_LC_REC,),
        expected=Expected(24_773, 9_923, 206_153, _TABLE, rounded=True),
    ),
    _folder(
        "arts",
        "Arts",
        "Amazon Arts, 2018, LC-Rec's cut",
        _2018 + "; files of LC-Rec",
        _linked(_LC_REC),
        (_LC_REC,),
        expected=Expected(45_142, 20_957, 390_832, _TABLE, rounded=True),
    ),
    _folder(
        "games",
        "Games",
        "Amazon Video Games, 2018, LC-Rec's cut",
        _2018 + "; files of LC-Rec",
        _linked(_LC_REC),
        (_LC_REC,),
        expected=Expected(50_547, 16_860, 452_989, _TABLE, rounded=True),
    ),
    _folder(
        "instruments-mql4grec",
        "Instruments",
        "Amazon Musical Instruments, 2018, MQL4GRec's cut",
        _2018 + "; files of MQL4GRec",
        _linked(_MQL4GREC),
        (_MQL4GREC,),
    ),
    _folder(
        "arts-mql4grec",
        "Arts",
        "Amazon Arts, 2018, MQL4GRec's cut",
        _2018 + "; files of MQL4GRec",
        _linked(_MQL4GREC),
        (_MQL4GREC,),
    ),
    _folder(
        "scientific",
        "Scientific",
        "Amazon Industrial & Scientific, cut of CollisionGenRec (4,344 items)",
        "Amazon review data 2018 (Ni, Li, McAuley 2019), 5-core; files of"
        " CollisionGenRec; index: its rqvae_zcr",
        f"{_COLLISION} has them in data/Scientific, the index in its indexes/rqvae_zcr",
        (_COLLISION,),
        expected=Expected(8_317, 4_344, 58_492, "counting those of CollisionGenRec"),
    ),
    *map(_category_2023, CATEGORIES),
)
