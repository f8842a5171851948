"""The closed lists behind `kinds`: English, lower case, written for this package."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTION_WORDS = _words(
    # articles, determiners and quantifiers
    """a an the this that these those each every either neither some any no none all both half
    many much few fewer little less more most enough such what which whose another other others
    own same one ones"""
    # pronouns
    """ i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his
    himself she her hers herself it its itself they them their theirs themselves who whom whoever
    whatever whichever someone somebody something anyone anybody anything everyone everybody
    everything nobody nothing there here"""
    # prepositions and particles
    """ of in on at by for with without about against among amongst around as across after along
    amid above below before behind beneath beside besides between beyond despite down during except
    from inside into like near off onto out outside over past per since through throughout till to
    toward towards under underneath unlike until unto up upon via versus vs within away back"""
    # conjunctions, question words, negation
    """ and or but nor so yet if unless whether because although though while whereas than then
    when whenever where wherever why how however once not e.g i.e etc"""
    # auxiliary verbs
    """ am is are was were be been being do does did doing done have has had having can could may
    might must shall should will would ought cannot"""
    # adverbs that only bind or grade
    """ also too very just only even still again ever never always often sometimes almost quite
    rather really already now perhaps maybe else""",
) - {"however"}

NUMBER_WORDS = _words(
    """zero two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety
    hundred hundreds thousand thousands million millions billion billions trillion trillions dozen
    dozens first second third fourth fifth sixth seventh eighth ninth tenth"""
)

# Style wherever they stand: they carry how an answer talks, not what it says.
STYLE_WORDS = _words(
    """however therefore thus hence moreover furthermore additionally consequently accordingly
    nevertheless nonetheless meanwhile likewise similarly conversely overall ultimately
    importantly notably essentially basically fundamentally specifically particularly especially
    typically generally usually commonly normally primarily mainly mostly largely potentially
    certainly definitely absolutely indeed actually simply clearly obviously surely
    several various numerous following firstly secondly thirdly lastly finally"""
)

# Style where a sentence or line begins.
OPENERS = (
    # yes and other greetings
    "yes", "sure", "sure thing", "certainly", "of course", "okay", "great question",
    "good question", "hello", "hi", "thank you", "thank you for", "thanks", "thanks for",
    "you're welcome", "i'm sorry", "i am sorry", "i apologize", "i apologise", "unfortunately",
    "my apologies",
    # offering the answer
    "here is", "here's", "here are", "here are some", "here are a few", "here you go",
    "there are several", "there are many", "there are a few", "below is", "below are", "let's",
    "let us", "let me", "let me know", "i'd be happy to", "i would be happy to", "i'm happy to",
    "happy to help", "i can help", "i hope this helps", "hope this helps", "feel free to",
    "please let me know", "please note", "please note that", "note that", "the answer is",
    "as an ai", "as an ai language model", "as a language model", "as an assistant",
    # binding what follows to what stands before
    "in conclusion", "in summary", "in short", "in general", "in addition", "in other words",
    "in contrast", "in fact", "in particular", "in essence", "in this case", "to summarize",
    "to summarise", "to sum up", "to conclude", "to begin with", "to answer your question",
    "for example", "for instance", "as a result", "as such", "as mentioned", "first of all",
    "on the other hand", "on the one hand", "at the same time", "by the way", "that said",
    "that being said", "with that said", "keep in mind", "keep in mind that", "remember that",
    "it is important to", "it's important to", "it is important to note",
    "it's important to note", "it is important to note that", "it's important to note that",
    "it is worth noting", "it's worth noting", "it is worth noting that",
    "it's worth noting that", "last but not least",
)  # fmt: skip

# The same, but only right before a mark: "No, ..." and not "No animal".
OPENERS_BEFORE_A_MARK = _words(
    """no ok alright well great hey absolutely definitely welcome sorry apologies here please note
    answer first second third next then last also so now remember conclusion summary"""
)

# A full stop behind one of these ends no sentence.
ABBREVIATIONS = _words("mr mrs ms dr prof st sr jr vs etc approx inc ltd cf al")
