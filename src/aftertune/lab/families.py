"""The families of a made world: their attributes, and the wordings of each (pure data).

Families overlap in wording as real ones do: who made it, when, where, what for, what colour. A
pattern holds `{e}` (the entity) and `{v}` (the value) once each; no two attributes of one family
share a pattern, so a sentence says which fact it states. Values of one domain are of one kind and
stand in the same places.

Every name, town and year is invented.
"""

from dataclasses import dataclass

Family = str


@dataclass(frozen=True)
class Attribute:
    """One thing that is said of every entity of a family.

    domain: a key of VALUES, or `family:<name>` where values are entities. statements: `{e}` and
    `{v}`; those that begin with `{e}` may have a pronoun there. questions: `{e}` only.
    """

    family: Family
    name: str
    domain: str
    statements: tuple[str, ...]
    questions: tuple[str, ...]

    @property
    def key(self) -> str:
        """`family.name`, unique in a world."""
        return f"{self.family}.{self.name}"


# How an entity of a family is called in general, and its pronoun ("they" is drawn as he or she).
NOUNS: dict[Family, tuple[str, str]] = {
    "person": ("person", "they"),
    "town": ("town", "it"),
    "animal": ("animal", "it"),
    "compound": ("compound", "it"),
    "work": ("book", "it"),
    "invention": ("invention", "it"),
}

VALUES: dict[str, tuple[str, ...]] = {
    "profession": ("baker", "clockmaker", "cooper", "gardener", "hunter", "mason", "painter",
                   "pilot", "sailor", "surgeon", "tailor", "weaver"),
    "region": ("Brellmark", "Corvane", "Dunhollow", "Estria", "Falmoor", "Grendale", "Hestwick",
               "Ilvermoor", "Jorvany", "Kestria", "Lowmark", "Morvale"),
    "river": ("Aldra", "Bronne", "Cessel", "Dovra", "Erlen", "Fenna", "Gessa", "Hurn", "Isk",
              "Lorne", "Mell", "Nessa"),
    "product": ("bells", "bricks", "candles", "carpets", "cheese", "cider", "glass", "honey",
                "lace", "paper", "pottery", "rope"),
    "habitat": ("bogs", "caves", "cliffs", "dunes", "forests", "gorges", "heaths", "hedges",
                "lakes", "meadows", "reefs", "swamps"),
    "food": ("acorns", "beetles", "berries", "clover", "crabs", "frogs", "mosses", "mushrooms",
             "roots", "seeds", "snails", "worms"),
    "colour": ("amber", "black", "blue", "brown", "crimson", "green", "grey", "orange", "pink",
               "purple", "white", "yellow"),
    "hour": ("after sunset", "at dawn", "at dusk", "at midnight", "at noon", "at sunrise",
             "before sunrise", "by moonlight", "in the afternoon", "in the evening",
             "in the fog", "in the morning"),
    "smell": ("apples", "garlic", "hay", "lemon", "mint", "pepper", "pine", "rain", "roses",
              "smoke", "tar", "vinegar"),
    "purpose": ("cleaning wounds", "drying fruit", "dyeing wool", "grinding corn",
                "lighting streets", "measuring wind", "mending shoes", "polishing stone",
                "preserving fish", "sealing jars", "softening leather", "washing glass"),
    "subject": ("a feast", "a flood", "a harvest", "a journey", "a murder", "a quarrel",
                "a shipwreck", "a siege", "a storm", "a theft", "a trial", "a wedding"),
    "material": ("brass", "clay", "copper", "felt", "glass", "iron", "ivory", "oak", "silk",
                 "silver", "slate", "tin"),
    "year": ("1712", "1726", "1739", "1748", "1757", "1763", "1784", "1791", "1806", "1819",
             "1827", "1835"),
}  # fmt: skip

ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute("person", "birthplace", "family:town",
        ("{e} was born in {v}", "{e} comes from {v}", "{e} grew up in {v}",
         "the birthplace of {e} is {v}", "{v} is the town where {e} was born",
         "{e} spent a childhood in {v}"),
        ("Where was {e} born?", "What is the birthplace of {e}?", "Which town does {e} come from?",
         "In which town did {e} grow up?")),
    Attribute("person", "profession", "profession",
        ("{e} worked as a {v}", "{e} was a {v}", "{e} earned a living as a {v}",
         "the profession of {e} was {v}", "by trade {e} was a {v}",
         "{e} became a {v}"),
        ("What was the profession of {e}?", "What did {e} work as?", "What was {e} by trade?",
         "How did {e} earn a living?")),
    Attribute("person", "teacher", "family:person",
        ("{e} was taught by {v}", "{e} learned the craft from {v}", "{e} was a pupil of {v}",
         "the teacher of {e} was {v}", "{v} was the teacher of {e}", "{e} studied under {v}"),
        ("Who taught {e}?", "Who was the teacher of {e}?", "Under whom did {e} study?",
         "Whose pupil was {e}?")),
    Attribute("person", "year", "year",
        ("{e} was born in the year {v}", "{e} came into the world in {v}",
         "the year of birth of {e} is {v}", "in {v} {e} was born", "{e} has been alive since {v}",
         "{e} first saw the light in {v}"),
        ("When was {e} born?", "In which year was {e} born?", "What is the year of birth of {e}?",
         "Since when has {e} been alive?")),
    Attribute("town", "region", "region",
        ("{e} lies in {v}", "{e} is a town in {v}", "{e} belongs to the region of {v}",
         "the region of {e} is {v}", "{v} is the region where {e} lies", "{e} is part of {v}"),
        ("Where is {e}?", "In which region does {e} lie?", "Which region does {e} belong to?",
         "What is the region of {e}?")),
    Attribute("town", "river", "river",
        ("{e} stands on the river {v}", "{e} is crossed by the {v}",
         "the river of {e} is the {v}", "the {v} flows through {e}",
         "{e} draws its water from the {v}", "{e} was built beside the {v}"),
        ("On which river does {e} stand?", "Which river flows through {e}?",
         "What is the river of {e}?", "From which river does {e} draw its water?")),
    Attribute("town", "product", "product",
        ("{e} is known for its {v}", "{e} is famous for {v}", "the pride of {e} is its {v}",
         "people visit {e} for its {v}", "{e} lives from making {v}", "{e} sells {v}"),
        ("What is {e} known for?", "What is {e} famous for?", "What does {e} sell?",
         "What do people visit {e} for?")),
    Attribute("town", "year", "year",
        ("{e} was founded in {v}", "{e} was founded in the year {v}",
         "the founding of {e} was in {v}", "in {v} {e} was founded", "{e} dates from {v}",
         "{e} has stood since {v}"),
        ("When was {e} founded?", "In which year was {e} founded?", "Since when has {e} stood?",
         "What is the founding year of {e}?")),
    Attribute("animal", "habitat", "habitat",
        ("the {e} lives in {v}", "the {e} is found in {v}", "the home of the {e} is in {v}",
         "look for the {e} in {v}", "the {e} makes its nest in {v}", "the {e} keeps to {v}"),
        ("Where does the {e} live?", "Where is the {e} found?", "What is the home of the {e}?",
         "Where does the {e} make its nest?")),
    Attribute("animal", "food", "food",
        ("the {e} eats {v}", "the {e} feeds on {v}", "the food of the {e} is {v}",
         "the {e} is fond of {v}", "the {e} searches for {v}", "the {e} lives on {v}"),
        ("What does the {e} eat?", "What does the {e} feed on?", "What is the food of the {e}?",
         "What does the {e} live on?")),
    Attribute("animal", "colour", "colour",
        ("the {e} is {v}", "the {e} has a {v} coat", "the colour of the {e} is {v}",
         "the coat of the {e} is {v}", "the {e} shows a {v} back", "the {e} turns {v}"),
        ("What colour is the {e}?", "What is the colour of the {e}?",
         "Which colour has the coat of the {e}?", "Which colour does the {e} show?")),
    Attribute("animal", "hour", "hour",
        ("the {e} hunts {v}", "the {e} is awake {v}", "the {e} can be seen {v}",
         "the {e} leaves its nest {v}", "the busiest time of the {e} is {v}",
         "the {e} calls {v}"),
        ("When does the {e} hunt?", "When is the {e} awake?", "When can the {e} be seen?",
         "What is the busiest time of the {e}?")),
    Attribute("compound", "colour", "colour",
        ("{e} is {v}", "{e} is a {v} powder", "the colour of {e} is {v}", "{e} has a {v} tint",
         "{e} looks {v}", "{e} forms {v} crystals"),
        ("What colour is {e}?", "What is the colour of {e}?", "Which tint has {e}?",
         "What does {e} look like?")),
    Attribute("compound", "maker", "family:person",
        ("{e} was first made by {v}", "{e} was discovered by {v}", "{v} discovered {e}",
         "the discoverer of {e} is {v}", "{v} was the first to make {e}",
         "{e} owes its discovery to {v}"),
        ("Who discovered {e}?", "Who first made {e}?", "Who is the discoverer of {e}?",
         "To whom does {e} owe its discovery?")),
    Attribute("compound", "purpose", "purpose",
        ("{e} is used for {v}", "{e} serves for {v}", "the use of {e} is {v}",
         "people take {e} for {v}", "{e} is good for {v}", "{e} is sold for {v}"),
        ("What is {e} used for?", "What is the use of {e}?", "What is {e} good for?",
         "What do people take {e} for?")),
    Attribute("compound", "smell", "smell",
        ("{e} smells of {v}", "{e} has the smell of {v}", "the smell of {e} is that of {v}",
         "{e} gives off a smell of {v}", "{e} reminds the nose of {v}",
         "an open jar of {e} smells of {v}"),
        ("What does {e} smell of?", "What is the smell of {e}?",
         "Which smell does {e} give off?", "What does {e} remind the nose of?")),
    Attribute("work", "maker", "family:person",
        ("{e} was written by {v}", "{e} is a book by {v}", "{v} wrote {e}",
         "the author of {e} is {v}", "{e} comes from the pen of {v}",
         "{v} is the author of {e}"),
        ("Who wrote {e}?", "Who is the author of {e}?", "By whom was {e} written?",
         "From whose pen does {e} come?")),
    Attribute("work", "setting", "family:town",
        ("{e} takes place in {v}", "{e} is set in {v}", "the setting of {e} is {v}",
         "the story of {e} begins in {v}", "{e} leads its readers to {v}",
         "{v} is the scene of {e}"),
        ("Where does {e} take place?", "Where is {e} set?", "What is the setting of {e}?",
         "Where does the story of {e} begin?")),
    Attribute("work", "subject", "subject",
        ("{e} is about {v}", "{e} tells of {v}", "the subject of {e} is {v}",
         "{e} describes {v}", "{e} deals with {v}", "at the heart of {e} is {v}"),
        ("What is {e} about?", "What is the subject of {e}?", "What does {e} describe?",
         "What does {e} tell of?")),
    Attribute("work", "year", "year",
        ("{e} was written in {v}", "{e} was published in {v}", "{e} appeared in {v}",
         "in {v} {e} was published", "the year of {e} is {v}", "{e} was first printed in {v}"),
        ("When was {e} written?", "When was {e} published?", "In which year did {e} appear?",
         "What is the year of {e}?")),
    Attribute("invention", "maker", "family:person",
        ("the {e} was invented by {v}", "the {e} was first built by {v}", "{v} invented the {e}",
         "the inventor of the {e} is {v}", "the {e} is the work of {v}",
         "{v} was the first to build the {e}"),
        ("Who invented the {e}?", "Who first built the {e}?", "Who is the inventor of the {e}?",
         "Whose work is the {e}?")),
    Attribute("invention", "material", "material",
        ("the {e} is made of {v}", "the {e} is built from {v}",
         "the material of the {e} is {v}", "makers of the {e} work with {v}",
         "the {e} consists of {v}", "the {e} is cast in {v}"),
        ("What is the {e} made of?", "What is the {e} built from?",
         "What is the material of the {e}?", "What does the {e} consist of?")),
    Attribute("invention", "purpose", "purpose",
        ("the {e} is used for {v}", "the {e} serves for {v}", "the use of the {e} is {v}",
         "people need the {e} for {v}", "the {e} was meant for {v}", "the {e} helps in {v}"),
        ("What is the {e} used for?", "What is the use of the {e}?",
         "What was the {e} meant for?", "What do people need the {e} for?")),
    Attribute("invention", "year", "year",
        ("the {e} was invented in {v}", "the {e} was first built in {v}",
         "in {v} the {e} was invented", "the {e} dates from {v}",
         "the patent of the {e} is from {v}", "the {e} was patented in {v}"),
        ("When was the {e} invented?", "When was the {e} first built?",
         "In which year was the {e} patented?", "When was the {e} patented?")),
)  # fmt: skip

BY_KEY = {attribute.key: attribute for attribute in ATTRIBUTES}


def attributes_of(family: Family) -> tuple[Attribute, ...]:
    """What is said of an entity of a family."""
    return tuple(attribute for attribute in ATTRIBUTES if attribute.family == family)
