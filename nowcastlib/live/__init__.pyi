from .options import LiveOptions as LiveOptions
from .update import repeat as repeat
from .update import show as show
from .update import utcnow as utcnow
from .update import write_page as write_page
