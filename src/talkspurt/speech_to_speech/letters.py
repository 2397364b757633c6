"""Words compared by their letters: what a model says it spoke and what history has of it differ in marks and case."""


def letters(text: str) -> str:
    """The letters and digits of `text`, in one case."""
    return "".join(character for character in text.casefold() if character.isalnum())


def words_within(text: str, count: int) -> str:
    """The words of `text` that end within its first `count` letters."""
    words: list[str] = []
    for word in text.split():
        count -= len(letters(word))
        if count < 0:
            break
        words.append(word)
    return " ".join(words)


def words_behind(text: str, count: int) -> str:
    """The words of `text` that begin at or behind its first `count` letters."""
    words = text.split()
    for index, word in enumerate(words):
        if count <= 0:
            return " ".join(words[index:])
        count -= len(letters(word))
    return ""
